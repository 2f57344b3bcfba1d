"""Where gold stands: which offsets its loads had reached, and its totals, read in one snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg

Connection = psycopg.Connection[Any]
Sums = dict[tuple[str, str], tuple[int, Decimal]]

# The fact and the list of the loads that it holds are written in one transaction: they always fit each other.
_FACT = """
select f.build_id, exists (
    select from metadata.consumer_watermarks d
    where d.consumer = 'daily_revenue_totals' and (d.epoch, d.seq) = (f.epoch, f.seq)
) from metadata.consumer_watermarks f where f.consumer = 'fact_transactions'
"""
_LEFT_OUT = """
select min(a.load_id) from metadata.load_audit a
where a.status = 'SUCCESS' and a.entity = 'transactions'
    and a.load_id < (select max(load_id) from metadata.processed_loads)
    and not exists (select from metadata.processed_loads p where p.load_id = a.load_id)
"""
# A backfill reads old offsets again: how far silver has come is the highest end, not the newest.
_ENDS = """
select o.partition, max(o.end_offset) from metadata.load_offsets o join metadata.processed_loads using (load_id)
where o.topic_id = %s group by 1 order by 1
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


@contextmanager
def snapshot(connection: Connection, *others: str) -> Iterator[None]:
    """Open a transaction that sees one moment of the database; use it outside any other.

    A full refresh puts another table under the mart's name. Read by name in a snapshot from before, that table is
    empty: so the marts are locked first, which waits for the exchange, and the snapshot is taken behind it.

    Args:
        others: tables that might be emptied by truncate meanwhile, which no snapshot guards against; locked too.
    """
    marts = [
        name
        for name in ("marts.fact_transactions", "marts.daily_revenue_totals")
        if (connection.execute("select to_regclass(%s) is not null", [name]).fetchone() or (False,))[0]
    ]
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        if locked := [*marts, *others]:
            connection.execute(f"lock table {', '.join(locked)} in access share mode".encode())
        yield


@dataclass(frozen=True)
class Gold:
    """Gold as of a build.

    Attributes:
        build_id: of the build that wrote the fact last.
        is_whole: the daily totals have applied all that the fact has.
        left_out: a load below the newest one that gold does not hold; None: there is none.
        ends: the offset behind the last one that gold's loads had reached, by partition of the topic asked for.
    """

    build_id: UUID
    is_whole: bool
    left_out: int | None
    ends: dict[int, int]


def read_gold(connection: Connection, topic_id: str) -> Gold | None:
    """Return where gold stands, None before the first build. Call it inside a repeatable-read transaction."""
    row = connection.execute(_FACT).fetchone()
    there = connection.execute("select to_regclass('marts.fact_transactions') is not null").fetchone()
    if row is None or not there or not there[0]:
        return None
    left_out = connection.execute(_LEFT_OUT).fetchone()
    ends = dict(connection.execute(_ENDS, [topic_id]).fetchall())
    return Gold(row[0], row[1], left_out[0] if left_out else None, ends)


def daily_sums(connection: Connection) -> Sums:
    """Return gold's count and amount per currency and status, from the daily totals: flat in the number of payments."""
    rows = connection.execute(_DAILY).fetchall()
    return {(currency, status): (count, amount) for currency, status, count, amount in rows if count or amount}
