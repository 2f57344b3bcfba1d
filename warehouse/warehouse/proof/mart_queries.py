# ruff: noqa: S608  (names are the contract's; values are parameters)
"""The queries of E3 and E4, for any entity."""

from contracts.model import Entity

# What the loads wrote down: rows by status, and keys whose first row is no longer their latest.
STATUSES = """
select s.currency, case s.status when 'SETTLED' then %(first)s else s.status end,
    sum(case s.status when 'SETTLED' then -s.count else s.count end)::bigint,
    sum(case s.status when 'SETTLED' then -s.amount else s.amount end)
from metadata.load_statuses s join metadata.processed_loads p using (load_id)
    join metadata.load_audit a using (load_id)
where s.load_id > %(after)s and a.entity = %(entity)s group by 1, 2
"""

UNPROCESSED = """
select t.currency, count(distinct t.load_id), sum(t.count)::bigint, sum(t.amount)
from metadata.load_audit a join metadata.load_totals t on t.load_id = a.load_id and t.book = 'NEW' and t.count > 0
where a.status = 'SUCCESS' and a.load_id > %s and a.entity = %s and not exists (
    select from metadata.processed_loads p where p.load_id = a.load_id)
group by 1 order by 1
"""

PROCESSED = """
select p.load_id from metadata.processed_loads p join metadata.load_audit a using (load_id)
where a.entity = %s order by p.load_id desc limit 1
"""

LOG_IS_AHEAD = """
select not exists (
    select from metadata.consumer_watermarks d join metadata.consumer_watermarks f using (epoch, seq)
    where d.consumer = %s and f.consumer = %s
)
"""


def silver_sql(entity: Entity) -> str:
    """Return the query of the latest statuses: a final one over the first, within the loads that the fact holds."""
    processed = "in (select load_id from metadata.processed_loads)"
    first = entity.statuses.first
    return f"""
        select currency, status, count(*), sum(amount) from {entity.silver} t
        where t.load_id {processed} and (
            t.status <> '{first}' or not exists (
                select from {entity.silver} f
                where f.{entity.key} = t.{entity.key} and f.status <> '{first}' and f.load_id {processed}
            )
        )
        group by 1, 2
    """


def logged_sql(entity: Entity) -> str:
    """Return the query of what the change log adds to the sums of the fact."""
    since = f"from {entity.change_log} where epoch = %(epoch)s and seq > %(seq)s"
    return f"""
        select currency, status, sum(sign)::bigint, sum(sign * amount) from (
            select 1 as sign, new_currency as currency, new_status as status, new_amount as amount {since}
            union all
            select -1, old_currency, old_status, old_amount {since} and old_status is not null
        ) signed group by 1, 2
    """


def touched_sql(entity: Entity) -> str:
    """Return the query of what the log touched: fact and silver themselves are looked up by key."""
    key = entity.key
    return f"""
        with touched as (
            select distinct on ({key}) {key}, new_occurred_on, new_currency, new_status, new_amount
            from {entity.change_log} where epoch = %(epoch)s and seq > %(seq)s
            order by {key}, seq desc
        )
        select count(*), count(*) filter (where (new_currency, new_status, new_amount) is not distinct from
                (fact.currency, fact.status, fact.amount)
            and (new_currency, new_status, new_amount) is not distinct from
                (silver.currency, silver.status, silver.amount))
        from touched
        left join lateral (
            select currency, status, amount from {entity.fact} f
            where f.occurred_on = new_occurred_on and f.{key} = touched.{key} offset 0
        ) fact on true
        left join lateral (
            select currency, status, amount from {entity.silver} t
            where t.{key} = touched.{key}
                and exists (select from metadata.processed_loads p where p.load_id = t.load_id)
            order by status = '{entity.statuses.first}' limit 1
        ) silver on true
    """


def daily_sql(entity: Entity) -> str:
    """Return the FROM clause of the daily totals with a row a status: status, count and amount beside the day."""
    rows = ", ".join(f"('{status}', {status.lower()}_count, {status.lower()}_amount)" for status in entity.statuses.all)
    return f"{entity.daily}, lateral (values {rows}) as by_status (status, count, amount)"
