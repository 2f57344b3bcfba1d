"""E3 and E4: silver against the fact, the fact against the daily totals, as far as the last build has come."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

from warehouse.proof.equation import Equation, Side
from warehouse.proof.forward import Balance, Forward, add, plus

Sides = dict[tuple[str, str], Side]

# What the loads wrote down: rows by status, and transactions whose PENDING row is no longer their latest.
_STATUSES = """
select s.currency, case s.status when 'SETTLED' then 'PENDING' else s.status end,
    sum(case s.status when 'SETTLED' then -s.count else s.count end)::bigint,
    sum(case s.status when 'SETTLED' then -s.amount else s.amount end)
from metadata.load_statuses s join metadata.processed_loads p using (load_id)
where s.load_id > %s group by 1, 2
"""

# A final status over PENDING, each judged within the loads that the fact holds.
_SILVER = """
select currency, status, count(*), sum(amount)
from raw.transactions t
where t.load_id in (select load_id from metadata.processed_loads) and (
    t.status <> 'PENDING' or not exists (
        select from raw.transactions f
        where f.transaction_id = t.transaction_id and f.status <> 'PENDING'
            and f.load_id in (select load_id from metadata.processed_loads)
    )
)
group by 1, 2
"""

_FACT = "select currency, status, count(*), sum(amount) from marts.fact_transactions group by 1, 2"

_LOGGED = """
select currency, status, sum(sign)::bigint, sum(sign * amount) from (
    select 1 as sign, new_currency as currency, new_status as status, new_amount as amount
    from metadata.fact_changes where epoch = %(epoch)s and seq > %(seq)s
    union all
    select -1, old_currency, old_status, old_amount
    from metadata.fact_changes where epoch = %(epoch)s and seq > %(seq)s and old_status is not null
) signed group by 1, 2
"""

# The log says what the fact should hold; for what it touched, fact and silver themselves are looked up by key.
_TOUCHED = """
with touched as (
    select distinct on (transaction_id) transaction_id, new_occurred_on, new_currency, new_status, new_amount
    from metadata.fact_changes where epoch = %(epoch)s and seq > %(seq)s
    order by transaction_id, seq desc
)
select count(*), count(*) filter (where (new_currency, new_status, new_amount) is not distinct from
        (fact.currency, fact.status, fact.amount)
    and (new_currency, new_status, new_amount) is not distinct from (silver.currency, silver.status, silver.amount))
from touched
left join lateral (
    select currency, status, amount from marts.fact_transactions f
    where f.occurred_on = new_occurred_on and f.transaction_id = touched.transaction_id offset 0
) fact on true
left join lateral (
    select currency, status, amount from raw.transactions t
    where t.transaction_id = touched.transaction_id
        and exists (select from metadata.processed_loads p where p.load_id = t.load_id)
    order by status = 'PENDING' limit 1
) silver on true
"""

_DAILY = """
select currency, status, sum(count)::bigint, sum(amount)
from marts.daily_revenue_totals, lateral (values
    ('SUCCESS', success_count, success_amount),
    ('FAILED', failed_count, failed_amount),
    ('PENDING', pending_count, pending_amount)
) as by_status (status, count, amount)
group by 1, 2
"""

_UNPROCESSED = """
select t.currency, count(distinct t.load_id), sum(t.count)::bigint, sum(t.amount)
from metadata.load_audit a join metadata.load_totals t on t.load_id = a.load_id and t.book = 'NEW' and t.count > 0
where a.status = 'SUCCESS' and a.load_id > %s and not exists (
    select from metadata.processed_loads p where p.load_id = a.load_id)
group by 1 order by 1
"""

_BEHIND = """
select not exists (
    select from metadata.consumer_watermarks d join metadata.consumer_watermarks f using (epoch, seq)
    where d.consumer = 'daily_revenue_totals' and f.consumer = 'fact_transactions'
)
"""


@dataclass
class Marts:
    """What E3 and E4 compare, and where the next proof can go on."""

    silver: Sides
    fact: Sides
    daily: Sides
    touched: tuple[int, int] | None
    processed_load_id: int
    epoch: int | None
    seq: int | None
    daily_is_behind: bool


def read_marts(connection: psycopg.Connection[Any], forward: Forward, *, full: bool) -> Marts:
    """Return the sums of silver, fact and summary.

    Args:
        connection: in the proof's snapshot.
        forward: what is brought forward; its balances silver and fact are added to.
        full: read silver and fact themselves, whatever the books and the change log say.
    """
    has_fact, has_daily = (_is_there(connection, name) for name in ("fact_transactions", "daily_revenue_totals"))
    row = connection.execute(
        "select epoch, seq from metadata.consumer_watermarks where consumer = 'fact_transactions'"
    ).fetchone()
    epoch, seq = row or (None, None)
    silver = {} if full else _brought(forward.balance("silver"))
    for key, side in _sides(connection, _SILVER if full else _STATUSES, None if full else [forward.processed_load_id]):
        silver[key] = plus(silver.get(key, Side()), side)
    touched = None
    fact: Sides = {}
    if has_fact and not full and epoch is not None and forward.epoch == epoch:
        fact = _brought(forward.balance("fact"))
        position = {"epoch": epoch, "seq": forward.seq}
        for key, side in _sides(connection, _LOGGED, position):
            fact[key] = plus(fact.get(key, Side()), side)
        found = connection.execute(_TOUCHED, position).fetchone() or (0, 0)
        touched = (int(found[0]), int(found[1]))
    elif has_fact:
        # Only what no build has processed is OPEN. A mart that is gone after a build is a difference.
        fact = dict(_sides(connection, _FACT, None))
    processed = connection.execute("select coalesce(max(load_id), 0) from metadata.processed_loads").fetchone()
    behind = connection.execute(_BEHIND).fetchone()
    return Marts(
        silver=_without_nothing(silver),
        fact=_without_nothing(fact),
        daily=_without_nothing(dict(_sides(connection, _DAILY, None))) if has_daily else {},
        touched=touched,
        processed_load_id=processed[0] if processed else 0,
        epoch=epoch,
        seq=seq,
        daily_is_behind=has_daily and bool(behind and behind[0]),
    )


def prove_marts(connection: psycopg.Connection[Any], marts: Marts, forward: Forward) -> Iterable[Equation]:
    """Yield E3 and E4 per currency and status; what no build has processed yet is OPEN."""
    for currency, loads, count, amount in connection.execute(_UNPROCESSED, [forward.processed_load_id]).fetchall():
        scope = {"loads": loads, "waits_for": "build"}
        zero = None if amount is None else amount * 0
        yield Equation("E3", scope, currency, Side(count, amount), Side(0, zero), is_open=True)
    yield from _compare("E3", marts.silver, marts.fact, is_open=False)
    if marts.touched is not None and marts.touched[0]:
        touched, equal = marts.touched
        yield Equation("E3", {"transactions": "changed since the last proof"}, None, Side(touched), Side(equal))
    yield from _compare("E4", marts.fact, marts.daily, is_open=marts.daily_is_behind)


def bring_marts_forward(marts: Marts) -> dict[str, Balance]:
    """Return the balances of silver and of the fact."""
    balances: dict[str, Balance] = {"silver": {}, "fact": {}}
    for name, sides in (("silver", marts.silver), ("fact", marts.fact)):
        for key, side in sides.items():
            add(balances[name], key, side)
    return balances


def _is_there(connection: psycopg.Connection[Any], table: str) -> bool:
    row = connection.execute("select to_regclass(%s) is not null", [f"marts.{table}"]).fetchone()
    return bool(row and row[0])


def _sides(connection: psycopg.Connection[Any], query: str, values: Any) -> Iterable[tuple[tuple[str, str], Side]]:
    for currency, status, count, amount in connection.execute(query, values).fetchall():
        yield (currency, status), Side(count, amount)


def _brought(balance: Balance) -> Sides:
    return {(str(currency), str(status)): side for (currency, status), (side, _) in balance.items()}


def _without_nothing(sides: Sides) -> Sides:
    return {key: side for key, side in sides.items() if side.count or side.amount}


def _compare(name: str, left: Sides, right: Sides, *, is_open: bool) -> Iterable[Equation]:
    for key in sorted({*left, *right}):
        currency, status = key
        scope = {"status": status, "waits_for": "build"} if is_open else {"status": status}
        nothing = Side(0, Decimal(0))
        yield Equation(name, scope, currency, left.get(key, nothing), right.get(key, nothing), is_open=is_open)
