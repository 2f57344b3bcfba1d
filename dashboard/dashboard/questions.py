"""The SQL of the Business page. Names are constants of ours; whatever a visitor chose is a parameter."""

from datetime import date
from typing import Any

from psycopg import sql

from dashboard.view import FACT, Source, View

COUNTS = ("success_count", "success_amount", "failed_count", "failed_amount", "pending_count", "fee_revenue")
DELAYS = (
    "delayed_count", "delayed_seconds", "immediate_count", "under_1_hour_count", "under_1_day_count",
    "under_3_days_count", "from_3_days_count",
)  # fmt: skip

# The fact's rows in the form of the summaries, one row a payment.
_FACT_ROWS = """(
    select f.*,
        (status = 'SUCCESS')::int as success_count, (status = 'FAILED')::int as failed_count,
        (status = 'PENDING')::int as pending_count,
        case when status = 'SUCCESS' then amount else 0 end as success_amount,
        case when status = 'FAILED' then amount else 0 end as failed_amount,
        (settlement_seconds >= 0)::int as delayed_count,
        case when settlement_seconds >= 0 then settlement_seconds end as delayed_seconds,
        (settlement_delay_bucket = 'IMMEDIATE')::int as immediate_count,
        (settlement_delay_bucket = 'UNDER_1_HOUR')::int as under_1_hour_count,
        (settlement_delay_bucket = 'UNDER_1_DAY')::int as under_1_day_count,
        (settlement_delay_bucket = 'UNDER_3_DAYS')::int as under_3_days_count,
        (settlement_delay_bucket = '3_DAYS_OR_MORE')::int as from_3_days_count
    from marts.fact_transactions f
) payments"""


def _from(source: Source) -> sql.Composable:
    if source is FACT:
        return sql.SQL(_FACT_ROWS)
    return sql.SQL("{} payments").format(sql.Identifier("marts", source.name))


def _sums(names: tuple[str, ...]) -> sql.Composable:
    # sum() of bigint is numeric: counts are counts again, amounts stay what they are.
    whole = sql.SQL("coalesce(sum({0}), 0)::bigint as {0}")
    money = sql.SQL("coalesce(sum({0}), 0)::numeric(38, 4) as {0}")
    return sql.SQL(", ").join(
        (money if name.endswith(("amount", "revenue")) else whole).format(sql.Identifier(name)) for name in names
    )


def _where(view: View, source: Source, first_day: date) -> tuple[sql.Composable, dict[str, Any]]:
    clauses = ["occurred_on between %(first_day)s and %(last_day)s", "currency = %(currency)s"]
    values: dict[str, Any] = {"first_day": first_day, "last_day": view.last_day, "currency": view.currency}
    for column, chosen in (
        ("payment_channel", view.channels),
        ("merchant_category", view.categories),
        ("region", view.regions),
    ):
        if chosen:
            clauses.append(f"{column} = any(%({column})s)")
            values[column] = list(chosen)
    if view.segments:
        clauses.append(_SEGMENT_OF_CUSTOMER if source is FACT else "segment = any(%(segments)s)")
        values["segments"] = list(view.segments)
    if places := view.cities or view.states:
        # The plain conditions are for the index, the last one says which of its rows are meant.
        for part, name in enumerate(("country", "state", "city")[: len(places[0])]):
            clauses.append(f"{name} = any(%({name})s)")
            values[name] = [place[part] for place in places]
        clauses.append(_CITY_IS_MEANT if view.cities else _STATE_IS_MEANT)
    return sql.SQL(" and ").join(sql.SQL(clause) for clause in clauses), values


# The planner takes a segment for a handful of customers and would look up each one's whole history by the index; with
# the key hidden behind an expression it reads the days that are chosen, once.
_SEGMENT_OF_CUSTOMER = (
    "customer_id || '' in (select customer_id from marts.dim_customers where segment = any(%(segments)s))"
)
_STATE_IS_MEANT = "(country, state) in (select * from unnest(%(country)s::text[], %(state)s::text[]))"
_CITY_IS_MEANT = (
    "(country, state, city) in (select * from unnest(%(country)s::text[], %(state)s::text[], %(city)s::text[]))"
)

Question = tuple[sql.Composed, dict[str, Any]]


def by_day(view: View, source: Source, first_day: date) -> Question:
    """A row a day, from an earlier day on: what stands before is compared with, and fills the moving averages."""
    where, values = _where(view, source, first_day)
    return sql.SQL("select occurred_on, {} from {} where {} group by occurred_on order by occurred_on").format(
        _sums((*COUNTS, *DELAYS)), _from(source), where
    ), values


def by_groups(view: View, source: Source) -> Question:
    """A row a channel, a region and a category; `grouped` names which of the three it is."""
    where, values = _where(view, source, view.first_day)
    return sql.SQL(
        "select case when grouping(payment_channel) = 0 then 'payment_channel'"
        " when grouping(region) = 0 then 'region' else 'merchant_category' end as grouped,"
        " coalesce(payment_channel, region, merchant_category) as name, {} from {} where {}"
        " group by grouping sets ((payment_channel), (region), (merchant_category))"
        " order by grouped, fee_revenue desc, name"
    ).format(_sums((*COUNTS, *DELAYS)), _from(source), where), values


def by_hour(view: View, source: Source) -> Question:
    """A row an hour and weekday, both in the zone of the payments; 1 is Monday."""
    where, values = _where(view, source, view.first_day)
    return sql.SQL(
        "select extract(isodow from occurred_on)::int as weekday, hour_of_day, {} from {} where {}"
        " group by 1, 2 order by 1, 2"
    ).format(_sums(COUNTS), _from(source), where), values


def by_merchant(view: View, source: Source, most: int = 10) -> Question:
    """The merchants with the highest successful amount."""
    where, values = _where(view, source, view.first_day)
    return sql.SQL(
        "select merchant_name, merchant_category, {} from {} where {} group by merchant_name, merchant_category"
        " order by success_amount desc, merchant_name, merchant_category limit %(most)s"
    ).format(_sums(COUNTS), _from(source), where), {**values, "most": most}


CURRENCIES = """\
select currency, sum(success_count + failed_count + pending_count)::bigint as count
from marts.daily_revenue_totals group by currency order by count desc, currency
"""
CHANNELS = "select distinct payment_channel as name from marts.dim_channels order by name"
CATEGORIES = "select distinct merchant_category as name from marts.dim_merchants order by name"
PLACES = "select region, country, state, city from marts.dim_cities order by region, country, state, city"
DAYS = "select min(occurred_on) as first_day, max(occurred_on) as last_day from marts.daily_revenue_totals"
SEGMENTS = ("NEW", "ACTIVE", "AT_RISK", "LAPSED")

# What the marts hold, and since when: the newest load that brought rows and that a build has taken in.
AGE = """\
select a.load_id, a.finished_at as loaded_at, extract(epoch from now() - a.finished_at)::bigint as age_seconds,
    (select max(seq) || '/' || max(epoch) from metadata.consumer_watermarks) as state
from metadata.load_audit a join metadata.processed_loads using (load_id)
where a.rows_loaded > 0 order by a.load_id desc limit 1
"""
