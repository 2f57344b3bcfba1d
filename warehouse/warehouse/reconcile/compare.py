"""The comparison itself: the statement in a temporary table, silver and gold beside it, the rest is set SQL.

The client holds one line at a time; joins and sorts that pass `work_mem` go to the server's disk.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from warehouse.csv_copy import copy_as_csv
from warehouse.reconcile.statement_file import StatementLine
from warehouse.reconcile.zone import Zone

Connection = psycopg.Connection[Any]

KEPT_DIFFERENCES = 100_000
_CHUNK = 1 << 18
_ONE_DAY = timedelta(days=1)
_AS_COPY_WRITES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

_STATEMENT = """
create temporary table statement (
    line bigint not null, transaction_id text not null, amount numeric(20,4) not null, currency text not null,
    status text not null, occurred_on date not null
) on commit drop
"""

# The day where the payment was made, as the marts have it, and the day in a zone.
_OWN_DAY = sql.SQL("(t.occurred_at at time zone 'UTC' + make_interval(mins => t.utc_offset_minutes))::date")
_ZONE_DAY = "(t.occurred_at at time zone {})::date"

# A final status stands above PENDING. Zones reach a day ahead and behind: the index finds the stretch, the day decides.
_OURS = """
create temporary table ours on commit drop as
select distinct on (transaction_id)
    transaction_id, amount, currency, status, load_id, redrive_of, {day} as occurred_on, {own} as own_day
from raw.transactions as t
where occurred_at >= %(first)s::timestamptz and occurred_at < %(behind)s::timestamptz and {day} = any(%(days)s)
order by transaction_id, status <> 'PENDING' desc
"""

# What the file names and those days do not have: an id of another day, or of nobody.
_OTHERS = """
insert into ours
select distinct on (transaction_id)
    transaction_id, t.amount, t.currency, t.status, t.load_id, t.redrive_of, {day}, {own}
from (select distinct transaction_id from statement except select transaction_id from ours) as others
join raw.transactions as t using (transaction_id)
order by transaction_id, t.status <> 'PENDING' desc
"""

_FACT = "select transaction_id, occurred_on, amount, currency, status from marts.fact_transactions"
_NO_FACT = """
select null::text as transaction_id, null::date as occurred_on, null::numeric as amount, null::text as currency,
    null::text as status where false
"""

# Each line and each of our transactions is judged once, by the gravest of what is wrong: so the kinds add up.
_COMPARED = """
create temporary table compared on commit drop as
with numbered as (
    select *, row_number() over (partition by transaction_id order by line) as copy from statement
),
gold as ({fact}),
rejected as (
    select transaction_id, string_agg(distinct reason, ', ' order by reason) as reasons
    from raw.rejected_transactions cross join unnest(reasons) as reason
    where transaction_id in (select transaction_id from statement except select transaction_id from ours)
    group by transaction_id
)
select
    case
        when s.copy > 1 then 'DUPLICATE_IN_FILE'
        when o.transaction_id is null and r.transaction_id is not null then 'REJECTED_WITH_US'
        when o.transaction_id is null then 'MISSING_WITH_US'
        when s.transaction_id is null then 'MISSING_WITH_THEM'
        when s.amount <> o.amount or s.currency <> o.currency then 'AMOUNT_DIFFERS'
        when s.status <> o.status then 'STATUS_DIFFERS'
        when s.occurred_on <> o.occurred_on and %(dates)s then 'DATE_DIFFERS'
        when done.load_id is not null and (g.amount, g.currency, g.status)
            is distinct from (o.amount, o.currency, o.status) then 'GOLD_DIFFERS'
        else 'MATCHED'
    end as kind,
    s.line,
    coalesce(s.transaction_id, o.transaction_id) as transaction_id,
    s.occurred_on as their_date,
    o.occurred_on as our_date,
    s.currency as their_currency,
    o.currency as our_currency,
    s.amount as their_amount,
    o.amount as our_amount,
    s.status as their_status,
    o.status as our_status,
    g.amount as gold_amount,
    g.status as gold_status,
    o.redrive_of,
    case when o.transaction_id is null then r.reasons end as reasons,
    o.transaction_id is not null and done.load_id is null as waits
from numbered as s
full join ours as o on o.transaction_id = s.transaction_id and s.copy = 1
left join gold as g on g.transaction_id = o.transaction_id and g.occurred_on = o.own_day
left join metadata.processed_loads as done on done.load_id = o.load_id
left join rejected as r on r.transaction_id = s.transaction_id and s.copy = 1
"""

_TOTALS = """
with sides as (
    select their_currency as currency, kind, count(*) as their_count, sum(their_amount) as their_amount,
        0 as our_count, 0 as our_amount
    from compared where line is not null group by 1, 2
    union all
    select our_currency, kind, 0, 0, count(*), sum(our_amount)
    from compared where our_currency is not null group by 1, 2
)
select currency, kind, sum(their_count)::bigint, sum(their_amount)::numeric(38,4),
    sum(our_count)::bigint, sum(our_amount)::numeric(38,4)
from sides group by 1, 2 order by 1, 2
"""

_COLUMNS = """kind, line, transaction_id, their_date, our_date, their_currency, our_currency, their_amount, our_amount,
    their_status, our_status, gold_amount, gold_status, redrive_of, reasons"""
_DIFFERENCES = f"select {_COLUMNS} from compared where kind <> 'MATCHED' order by kind, line, transaction_id"  # noqa: S608


@dataclass(frozen=True)
class Total:
    """Count and amount of one currency and kind, on their side and on ours."""

    currency: str
    kind: str
    their_count: int
    their_amount: Any
    our_count: int
    our_amount: Any


def fill(db: Connection, lines: Iterable[StatementLine]) -> int:
    """COPY the statement into a temporary table and return how many lines it has."""
    db.execute(_STATEMENT)
    count, held, size = 0, [], 0
    with db.cursor() as cursor, cursor.copy("copy statement from stdin") as copy:
        for line, name, amount, currency, status, day in lines:
            if not name.isprintable() or "\\" in name:
                name = name.translate(_AS_COPY_WRITES)  # noqa: PLW2901 (the same name)
            row = f"{line}\t{name}\t{amount}\t{currency}\t{status}\t{day}\n"
            held.append(row)
            count += 1
            size += len(row)
            if size > _CHUNK:
                copy.write("".join(held))
                held, size = [], 0
        copy.write("".join(held))
    db.execute("analyze statement")
    return count


def days_of_lines(db: Connection) -> list[date]:
    """Return the days that the statement's lines have."""
    return [row[0] for row in db.execute("select distinct occurred_on from statement order by 1")]


def sums_of_lines(db: Connection) -> dict[str, tuple[int, Any]]:
    """Return count and amount of the statement's lines by currency, copies with them."""
    rows = db.execute("select currency, count(*), sum(amount) from statement group by 1")
    return {currency: (count, amount) for currency, count, amount in rows}


def compare(db: Connection, days: Sequence[date], *, dates: bool, zone: Zone | None = None) -> tuple[list[Total], int]:
    """Compare the statement with silver and gold.

    Args:
        db: in a transaction of one snapshot, after `fill`.
        days: our transactions of these days must be in the statement.
        dates: whether another day is a difference.
        zone: in which our days are cut; None: each payment's own.

    Returns:
        totals by currency and kind, and how many of our transactions no build has taken to gold yet.
    """
    day = _OWN_DAY if zone is None else sql.SQL(_ZONE_DAY).format(zone.offset if zone.offset is not None else zone.name)
    db.execute(sql.SQL(_OURS).format(day=day, own=_OWN_DAY), {"days": list(days), **_stretch(days)})
    db.execute("analyze ours")
    db.execute(sql.SQL(_OTHERS).format(day=day, own=_OWN_DAY))
    db.execute("analyze ours")
    row = db.execute("select to_regclass('marts.fact_transactions') is not null").fetchone()
    fact = _FACT if row and row[0] else _NO_FACT
    db.execute(sql.SQL(_COMPARED).format(fact=sql.SQL(fact)), {"dates": dates})
    totals = [Total(*each) for each in db.execute(_TOTALS)]
    waiting = db.execute("select count(*) from compared where waits").fetchone()
    return totals, int(waiting[0]) if waiting else 0


def _stretch(days: Sequence[date]) -> dict[str, str]:
    """Return a stretch of time that holds the days in whatever zone; the calendar has ends, time has none."""
    first, last = min(days), max(days)
    return {
        "first": str(first - _ONE_DAY) if first > date.min else "-infinity",
        "behind": str(last + 2 * _ONE_DAY) if (date.max - last).days > 1 else "infinity",
    }


def first_differences(db: Connection, count: int) -> list[dict[str, Any]]:
    """Return the first differences, by kind and line."""
    names = [name.strip() for name in _COLUMNS.split(",")]
    # As text, because a day of ours may lie behind the last that Python's calendar has.
    said = ", ".join(name if name == "line" else f"{name}::text" for name in names)
    cursor = db.execute(f"select {said} from ({_DIFFERENCES} limit %s) as d", [count])  # noqa: S608
    return [dict(zip(names, row, strict=True)) for row in cursor]


def copy_differences(db: Connection, path: Path) -> None:
    """Write all differences as CSV with a header."""
    copy_as_csv(db, _DIFFERENCES, path)


def keep_differences(db: Connection, run_id: Any) -> None:
    """Write the first differences to metadata."""
    db.execute(
        f"insert into metadata.reconciliation_differences (run_id, {_COLUMNS})"  # noqa: S608
        f" select %s, {_COLUMNS} from ({_DIFFERENCES} limit {KEPT_DIFFERENCES}) as kept",
        [run_id],
    )
