"""Balances brought forward: what was proven stays proven, so that a proof costs what is new.

A proof of OK leaves the sums of its older loads, of silver and of the fact, and the next one adds what came since. A
difference leaves nothing, and a `--full` that finds one takes back what there is: until it is mended, every proof looks
at everything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from warehouse.proof.equation import Side

# The change log forgets after a week what every mart has applied; a balance that old might have missed some of it.
OLDEST = timedelta(days=3)

Key = tuple[str | int | None, ...]
Balance = dict[Key, tuple[Side, Side]]


@dataclass
class Forward:
    """Where a proof begins, or what it leaves to the next one.

    Attributes:
        load_id: E0 to E2 of the loads up to here are in the balances.
        processed_load_id: silver's latest statuses of the processed loads up to here are.
        epoch: the change log's, None where the fact has to be read.
        seq: how far the log is in the balance of the fact.
        balances: by name; what has one side only leaves the other empty.
    """

    load_id: int = 0
    processed_load_id: int = 0
    epoch: int | None = None
    seq: int | None = None
    balances: dict[str, Balance] = field(default_factory=dict)

    def balance(self, name: str) -> Balance:
        """Return a balance; empty where nothing is brought forward."""
        return dict(self.balances.get(name, {}))


def read_forward(connection: psycopg.Connection[Any], entity: str, now: datetime) -> Forward:
    """Return what the last proof left of an entity; nothing where there is none or the log may have forgotten since."""
    row = connection.execute(
        "select load_id, processed_load_id, epoch, seq, sums, checked_at from metadata.proof_forward where entity = %s",
        [entity],
    ).fetchone()
    if row is None:
        return Forward()
    load_id, processed_load_id, epoch, seq, sums, checked_at = row
    balances = {name: _balance(held) for name, held in sums.items()}
    forward = Forward(load_id, processed_load_id, epoch, seq, balances)
    if not timedelta(0) <= now - checked_at < OLDEST:
        forward.epoch = forward.seq = None
    return forward


def write_forward(
    connection: psycopg.Connection[Any], proof_id: UUID, checked_at: datetime, forward: Mapping[str, Forward] | None
) -> None:
    """Leave balances by entity to the next proof, or take back all. A proof that began later keeps its own."""
    if forward is None:
        connection.execute("delete from metadata.proof_forward")
        return
    for entity, held in forward.items():
        _write(connection, entity, proof_id, checked_at, held)


def _write(
    connection: psycopg.Connection[Any], entity: str, proof_id: UUID, checked_at: datetime, forward: Forward
) -> None:
    sums = {name: _held(balance) for name, balance in forward.balances.items()}
    connection.execute(
        """
        insert into metadata.proof_forward as f
            (entity, proof_id, checked_at, load_id, processed_load_id, epoch, seq, sums)
            values (%s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (entity) do update set proof_id = excluded.proof_id, checked_at = excluded.checked_at,
            load_id = excluded.load_id, processed_load_id = excluded.processed_load_id, epoch = excluded.epoch,
            seq = excluded.seq, sums = excluded.sums
        where f.checked_at <= excluded.checked_at
        """,
        [
            *(entity, proof_id, checked_at, forward.load_id, forward.processed_load_id, forward.epoch, forward.seq),
            Jsonb(sums),
        ],
    )


def add(balance: Balance, key: Key, left: Side | None = None, right: Side | None = None) -> None:
    """Add to both sides of a balance."""
    before = balance.get(key, (Side(), Side()))
    balance[key] = (plus(before[0], left), plus(before[1], right))


def plus(one: Side, other: Side | None) -> Side:
    """Return the sum of two sides."""
    if other is None:
        return one
    amounts = [side.amount for side in (one, other) if side.amount is not None]
    return Side(one.count + other.count, sum(amounts, Decimal(0)) if amounts else None)


def _held(balance: Mapping[Key, tuple[Side, Side]]) -> list[Any]:
    return [[list(key), *_numbers(left), *_numbers(right)] for key, (left, right) in balance.items()]


def _numbers(side: Side) -> Iterable[Any]:
    return side.count, None if side.amount is None else f"{side.amount:f}"


def _balance(held: list[Any]) -> Balance:
    return {tuple(key): (_side(lc, la), _side(rc, ra)) for key, lc, la, rc, ra in held}


def _side(count: int, amount: str | None) -> Side:
    return Side(count, None if amount is None else Decimal(amount))
