"""Events that the live view sets aside; status times that cannot be true, counted from now on and mended in silver.

A status time is believed when it is not before the payment and not more than a day after the arrival. Rows of silver
whose time is not believed get their arrival, as the loader writes it from now on; the next build computes their days
again. Bronze keeps what was claimed.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SET_ASIDE = """
create table live.set_aside (
    topic_id text not null,
    partition integer not null,
    "offset" bigint not null,
    part text not null check (part in ('COUNTING', 'ALERTS')),
    arrived_at timestamptz not null,
    trouble text not null,
    set_aside_at timestamptz not null default clock_timestamp(),
    primary key (topic_id, partition, "offset", part)
);
comment on table live.set_aside is
    'Events that the live view could not handle. part COUNTING: not in the totals; ALERTS: counted, but not judged by '
    'the alert rules. trouble: the kind of the error, never what the event said.';
grant select, insert, delete on live.set_aside to live;
"""

METRIC = """
alter table metadata.data_quality_metrics
    drop constraint data_quality_metrics_metric_check,
    add constraint data_quality_metrics_metric_check
        check (metric in ('RULE', 'NULLS', 'DUPLICATES', 'UNKNOWN_FIELDS', 'DEAD_LETTERS', 'HEADERS'));
"""

STATUS_TIMES = """
create temporary table mended on commit drop as
with changed as (
    update raw.transactions set status_at = known_at
    where status_at <> known_at and not status_at between occurred_at and known_at + interval '24 hours'
    returning transaction_id, occurred_at
)
select transaction_id, (occurred_at at time zone 'UTC')::date as day from changed;
update live.payments set status_at = status_arrived_at
where status_at <> status_arrived_at
    and not status_at between occurred_at and status_arrived_at + interval '24 hours';
"""

# A payment's own day is at most one beside that in UTC. Before the first build there is nothing to compute again. The
# hash is that of the last build: the models are what they were.
DAYS = """
insert into metadata.builds (build_id, finished_at, status, full_refresh, lookback, project_hash, days, error)
select gen_random_uuid(), clock_timestamp(), 'FAILED', false, false, last.project_hash,
    case when found.ranges > 50 then datemultirange(found.hull) else found.days end,
    'migration 0010 has mended status times in silver: the next build computes their days again'
from (
    select range_agg(daterange(day - 1, day + 1, '[]')) as days, daterange(min(day) - 1, max(day) + 1, '[]') as hull,
        (select count(*) from unnest(range_agg(daterange(day - 1, day + 1, '[]')))) as ranges
    from mended
) as found,
(select project_hash from metadata.builds where status = 'SUCCESS' order by started_at desc limit 1) as last
where found.days is not null;
"""


def upgrade() -> None:
    # The long scan first: METRIC keeps everybody from the quality metrics until the end.
    for statements in (STATUS_TIMES, DAYS, SET_ASIDE, METRIC):
        op.get_bind().exec_driver_sql(statements)
