"""E3 and E4: silver against the fact, the fact against the daily totals, as far as the last build has come."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import psycopg

from warehouse.proof.equation import Equation, Side

Sides = dict[tuple[str, str], Side]

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
from metadata.load_totals t
join metadata.load_audit a on a.load_id = t.load_id and a.status = 'SUCCESS'
where t.book = 'NEW' and t.count > 0 and not exists (
    select from metadata.processed_loads p where p.load_id = t.load_id)
group by 1 order by 1
"""

_BEHIND = """
select not exists (
    select from metadata.consumer_watermarks d join metadata.consumer_watermarks f using (epoch, seq)
    where d.consumer = 'daily_revenue_totals' and f.consumer = 'fact_transactions'
)
"""


def prove_marts(connection: psycopg.Connection[Any]) -> Iterable[Equation]:
    """Yield E3 and E4 per currency and status; what no build has processed yet is OPEN."""
    has_fact, has_daily = (_is_there(connection, name) for name in ("fact_transactions", "daily_revenue_totals"))
    for currency, loads, count, amount in connection.execute(_UNPROCESSED).fetchall():
        scope = {"loads": loads, "waits_for": "build"}
        yield Equation("E3", scope, currency, Side(count, amount), Side(0, amount * 0), is_open=True)
    # Only what no build has processed is OPEN. A mart that is gone after a build is a difference.
    fact: Sides = _sides(connection, _FACT) if has_fact else {}
    yield from _compare("E3", _sides(connection, _SILVER), fact, is_open=False)
    daily = _sides(connection, _DAILY) if has_daily else {}
    row = connection.execute(_BEHIND).fetchone()
    yield from _compare("E4", fact, daily, is_open=has_daily and bool(row and row[0]))


def _is_there(connection: psycopg.Connection[Any], table: str) -> bool:
    row = connection.execute("select to_regclass(%s) is not null", [f"marts.{table}"]).fetchone()
    return bool(row and row[0])


def _sides(connection: psycopg.Connection[Any], query: str) -> Sides:
    rows = connection.execute(query).fetchall()
    return {(currency, status): Side(count, amount) for currency, status, count, amount in rows if count or amount}


def _compare(name: str, left: Sides, right: Sides, *, is_open: bool) -> Iterable[Equation]:
    for key in sorted({*left, *right}):
        currency, status = key
        scope = {"status": status, "waits_for": "build"} if is_open else {"status": status}
        nothing = Side(0, Decimal(0))
        yield Equation(name, scope, currency, left.get(key, nothing), right.get(key, nothing), is_open=is_open)
