"""How each touched transaction stood then and stands now, and what that makes of the summary.

Silver never changes a row, and a transaction's day, amount, currency and category never change: so what the summary
said at a moment is what it says now, less what the transactions of later loads add now, plus what they added then.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psycopg import sql

from warehouse.csv_copy import copy_as_csv
from warehouse.restate.moments import Connection, Moment, RestateError

STATUSES = ("success", "failed", "pending")
MEASURES = (
    *(f"{status}_{kind}" for status in STATUSES for kind in ("count", "amount")),
    *("fee_revenue", "fraud_count", "fraud_amount"),
)

_CHANGED = """
create temporary table changed on commit drop as
with touched as (
    select distinct transaction_id from raw.transactions where load_id = any(%(either)s)
),
known as (
    select
        transaction_id,
        max(r.status) filter (where r.status <> 'PENDING') as final,
        bool_or(r.status = 'PENDING') as pending,
        bool_or(r.status <> 'PENDING') filter (where r.load_id <> all(%(later_then)s)) as final_then,
        bool_or(r.status = 'PENDING') filter (where r.load_id <> all(%(later_vs)s)) as pending_vs,
        bool_or(r.status <> 'PENDING') filter (where r.load_id <> all(%(later_vs)s)) as final_vs,
        bool_or(r.status = 'PENDING') filter (where r.load_id <> all(%(later_then)s)) as pending_then,
        (array_agg(
            (r.occurred_at at time zone 'UTC' + make_interval(mins => r.utc_offset_minutes))::date
            order by r.load_id, r.known_at, r.status
        ))[1] as occurred_on
    from touched
    join raw.transactions as r using (transaction_id)
    where r.load_id in (select load_id from metadata.processed_loads)
    group by transaction_id
)
select
    k.transaction_id,
    k.occurred_on,
    f.currency,
    f.merchant_category,
    f.amount,
    f.is_fraud,
    f.fee_revenue,
    case when k.final_then then k.final when k.pending_then then 'PENDING' end as status_then,
    case when k.final_vs then k.final when k.pending_vs then 'PENDING' end as status_vs,
    coalesce(k.final, 'PENDING') as status_now,
    coalesce(f.status = coalesce(k.final, 'PENDING'), false) as agrees
from known as k
left join marts.fact_transactions as f on f.occurred_on = k.occurred_on and f.transaction_id = k.transaction_id
"""

_GROUPS = """
with touched as (
    select occurred_on, currency, merchant_category, {contributions}
    from changed group by occurred_on, currency, merchant_category
),
said as (
    select occurred_on, currency, merchant_category, {summed}
    from marts.daily_revenue_summary
    where (occurred_on, currency, merchant_category) in (
        select occurred_on, currency, merchant_category from touched
    )
    group by occurred_on, currency, merchant_category
),
sides as (
    select occurred_on, currency, merchant_category, {sides}
    from touched join said using (occurred_on, currency, merchant_category)
)
select occurred_on::text, currency, merchant_category, {shown}
from sides
where ({thens}) is distinct from ({vss})
order by sides.occurred_on, currency, merchant_category
"""

_CAUSES = """
select c.transaction_id, c.occurred_on, c.currency, c.merchant_category, c.amount, c.status_then as was,
    c.status_vs as "is", r.status_at, r.known_at, r.load_id, p.build_id, r.run, r.redrive_of
from changed as c
join raw.transactions as r on r.transaction_id = c.transaction_id and r.status = c.status_vs
left join metadata.processed_loads as p on p.load_id = r.load_id
where c.status_then is distinct from c.status_vs
order by c.status_then is null, c.occurred_on, c.transaction_id
"""


def find_changed(db: Connection, then: Moment, vs: Moment) -> None:
    """Put the transactions that later loads touched in a temporary table, with how they stood and stand.

    Raises:
        RestateError: the fact does not say of them what silver says.
    """
    either = sorted({*then.later, *vs.later})
    db.execute(_CHANGED, {"either": either, "later_then": list(then.later), "later_vs": list(vs.later)})
    db.execute("analyze changed")
    row = db.execute("select count(*), min(transaction_id) from changed where not agrees").fetchone()
    if row and row[0]:
        raise RestateError(
            f"fact_transactions does not say what silver says of {row[0]} transactions, such as {row[1]}.",
            "nothing was changed.",
            "./scripts/tieout proof, which names the difference",
        )


def groups(db: Connection) -> list[dict[str, Any]]:
    """Return days, currencies and categories whose figures differ, with each figure then and now (`x_then`, `x_vs`)."""
    text = _GROUPS.format(
        contributions=", ".join(_contribution(name, side) for side in ("then", "vs", "now") for name in MEASURES),
        summed=", ".join(f"sum({name}) as {name}" for name in MEASURES),
        sides=", ".join(
            f"({name} - {name}_now + {name}_{side})::{'bigint' if name.endswith('count') else 'numeric(38,4)'}"
            f" as {name}_{side}"
            for side in ("then", "vs")
            for name in MEASURES
        ),
        shown=", ".join(f"{name}_{side}" for side in ("then", "vs") for name in MEASURES),
        thens=", ".join(f"{name}_then" for name in MEASURES),
        vss=", ".join(f"{name}_vs" for name in MEASURES),
    )
    return _named(db, text)


def _contribution(name: str, side: str) -> str:
    what, _, kind = name.partition("_")
    if what == "fee":
        value, when = "fee_revenue", f"status_{side} = 'SUCCESS'"
    else:
        value = "1" if kind == "count" else "amount"
        when = f"is_fraud and status_{side} is not null" if what == "fraud" else f"status_{side} = '{what.upper()}'"
    return f"coalesce(sum({value}) filter (where {when}), 0) as {name}_{side}"


def count_causes(db: Connection) -> dict[str, int]:
    """Return how many transactions settled, and how many are new."""
    row = db.execute("""
        select count(*) filter (where status_then is not null), count(*) filter (where status_then is null)
        from changed where status_then is distinct from status_vs
    """).fetchone()
    return {"settled": row[0], "new": row[1]} if row else {"settled": 0, "new": 0}


def causes(db: Connection, limit: int) -> list[dict[str, Any]]:
    """Return the transactions that make the difference, settled ones first."""
    return _named(db, f"{_CAUSES} limit {int(limit)}")


def copy_causes(db: Connection, path: Path) -> None:
    """Write all of them as CSV with a header."""
    copy_as_csv(db, _CAUSES, path)


def _named(db: Connection, text: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    cursor = db.execute(sql.SQL(text), values or None)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]
