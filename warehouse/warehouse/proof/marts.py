# ruff: noqa: S608  (names are the contract's; values are parameters)
"""E3 and E4: silver against the fact, the fact against the daily totals, as far as the last build has come."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

from contracts.model import Entity
from warehouse.proof.equation import Equation, Side
from warehouse.proof.forward import Balance, Forward, add, plus
from warehouse.proof.mart_queries import (
    LOG_IS_AHEAD,
    PROCESSED,
    STATUSES,
    UNPROCESSED,
    daily_sql,
    logged_sql,
    silver_sql,
    touched_sql,
)

Sides = dict[tuple[str, str], Side]


@dataclass
class Marts:
    """What E3 and E4 compare, and where the next proof can go on."""

    entity: Entity
    silver: Sides
    fact: Sides
    daily: Sides
    touched: tuple[int, int] | None
    processed_load_id: int
    epoch: int | None
    seq: int | None
    daily_is_behind: bool


def read_marts(connection: psycopg.Connection[Any], entity: Entity, forward: Forward, *, full: bool) -> Marts:
    """Return the sums of silver, fact and daily totals of an entity.

    Args:
        connection: in the proof's snapshot.
        entity: whose.
        forward: what is brought forward; its balances silver and fact are added to.
        full: read silver and fact themselves, whatever the books and the change log say.
    """
    has_fact, has_daily = (_is_there(connection, name) for name in (entity.fact, entity.daily))
    epoch, seq = _log_position(connection, entity)
    processed = connection.execute(PROCESSED, [entity.name]).fetchone()
    fact, touched = _read_fact(connection, entity, forward, (epoch, seq), full=full) if has_fact else ({}, None)
    daily = f"select currency, status, sum(count)::bigint, sum(amount) from {daily_sql(entity)} group by 1, 2"
    return Marts(
        entity=entity,
        silver=_without_nothing(_read_silver(connection, entity, forward, full=full)),
        fact=_without_nothing(fact),
        # Only what no build has processed is OPEN. A mart that is gone after a build is a difference.
        daily=_without_nothing(dict(_sides(connection, daily, None))) if has_daily else {},
        touched=touched,
        processed_load_id=processed[0] if processed else 0,
        epoch=epoch,
        seq=seq,
        daily_is_behind=has_daily and _is_behind(connection, entity),
    )


def _log_position(connection: psycopg.Connection[Any], entity: Entity) -> tuple[int | None, int | None]:
    if entity.change_log is None:
        return None, None
    row = connection.execute(
        "select epoch, seq from metadata.consumer_watermarks where consumer = %s", [_consumer(entity.fact)]
    ).fetchone()
    return row or (None, None)


def _read_silver(connection: psycopg.Connection[Any], entity: Entity, forward: Forward, *, full: bool) -> Sides:
    if full:
        return dict(_sides(connection, silver_sql(entity), None))
    silver = _brought(forward.balance("silver"))
    values = {"first": entity.statuses.first, "after": forward.processed_load_id, "entity": entity.name}
    for key, side in _sides(connection, STATUSES, values):
        silver[key] = plus(silver.get(key, Side()), side)
    return silver


def _read_fact(
    connection: psycopg.Connection[Any],
    entity: Entity,
    forward: Forward,
    position: tuple[int | None, int | None],
    *,
    full: bool,
) -> tuple[Sides, tuple[int, int] | None]:
    """Return the fact's sums; and how many keys its log has touched since the last proof, and how many are equal."""
    epoch, _ = position
    if full or epoch is None or forward.epoch != epoch:
        query = f"select currency, status, count(*), sum(amount) from {entity.fact} group by 1, 2"
        return dict(_sides(connection, query, None)), None
    fact = _brought(forward.balance("fact"))
    since = {"epoch": epoch, "seq": forward.seq}
    for key, side in _sides(connection, logged_sql(entity), since):
        fact[key] = plus(fact.get(key, Side()), side)
    found = connection.execute(touched_sql(entity).encode(), since).fetchone() or (0, 0)
    return fact, (int(found[0]), int(found[1]))


def _is_behind(connection: psycopg.Connection[Any], entity: Entity) -> bool:
    """Say whether the daily totals lack what the fact has already: a build was killed between the two.

    Totals of a fact without a log are a view of it, and never behind.
    """
    if entity.change_log is None:
        return False
    row = connection.execute(LOG_IS_AHEAD, [_consumer(entity.daily), _consumer(entity.fact)]).fetchone()
    return bool(row and row[0])


def _consumer(mart: str) -> str:
    return mart.removeprefix("marts.")


def prove_marts(connection: psycopg.Connection[Any], marts: Marts, forward: Forward) -> Iterable[Equation]:
    """Yield E3 and E4 per currency and status; what no build has processed yet is OPEN."""
    entity = marts.entity
    waiting = connection.execute(UNPROCESSED, [forward.processed_load_id, entity.name]).fetchall()
    for currency, loads, count, amount in waiting:
        scope = {"loads": loads, "waits_for": "build"}
        zero = None if amount is None else amount * 0
        yield Equation("E3", scope, currency, Side(count, amount), Side(0, zero), is_open=True)
    yield from _compare("E3", marts.silver, marts.fact, is_open=False)
    if marts.touched is not None and marts.touched[0]:
        touched, equal = marts.touched
        yield Equation("E3", {entity.name: "changed since the last proof"}, None, Side(touched), Side(equal))
    yield from _compare("E4", marts.fact, marts.daily, is_open=marts.daily_is_behind)


def bring_marts_forward(marts: Marts) -> dict[str, Balance]:
    """Return the balances of silver and of the fact."""
    balances: dict[str, Balance] = {"silver": {}, "fact": {}}
    for name, sides in (("silver", marts.silver), ("fact", marts.fact)):
        for key, side in sides.items():
            add(balances[name], key, side)
    return balances


def _is_there(connection: psycopg.Connection[Any], table: str) -> bool:
    row = connection.execute("select to_regclass(%s) is not null", [table]).fetchone()
    return bool(row and row[0])


def _sides(connection: psycopg.Connection[Any], query: str, values: Any) -> Iterable[tuple[tuple[str, str], Side]]:
    for currency, status, count, amount in connection.execute(query.encode(), values).fetchall():
        yield (currency, status), Side(count, amount)


def _brought(balance: Balance) -> Sides:
    return {(str(currency), str(status)): side for (currency, status), (side, _) in balance.items()}


def _without_nothing(sides: Sides) -> Sides:
    return {key: side for key, side in sides.items() if side.count or side.amount}


def _compare(name: str, left: Sides, right: Sides, *, is_open: bool) -> Iterable[Equation]:
    nothing = Side(0, Decimal(0))
    for key in sorted({*left, *right}):
        currency, status = key
        scope = {"status": status, "waits_for": "build"} if is_open else {"status": status}
        yield Equation(name, scope, currency, left.get(key, nothing), right.get(key, nothing), is_open=is_open)
