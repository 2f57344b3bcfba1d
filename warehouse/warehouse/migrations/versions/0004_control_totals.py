"""The gateway's control totals, what arrived of each feed, and what the proof brings forward.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Cumulative: an older total of a feed goes once a newer one is settled. seen holds the numbers that have arrived, as
# ranges: a whole feed is one range, so that "have I seen 4,711 of it" costs the same after a year of events.
FEEDS = """
create table metadata.feeds (
    run text primary key,
    seen int8multirange not null default '{}',
    events bigint not null default 0,
    without_amount bigint not null default 0,
    amounts jsonb not null default '{}',
    copies bigint not null default 0,
    settled_seq bigint not null default 0,
    settled_without_amount bigint not null default 0,
    settled_amounts jsonb not null default '{}',
    lost_seqs int8multirange not null default '{}',
    lost_without_amount bigint not null default 0,
    lost_amounts jsonb not null default '{}',
    closed_seq bigint,
    finished_load_id bigint,
    first_finished_load_id bigint,
    first_load_id bigint not null,
    last_load_id bigint not null
);
create index feeds_unfinished on metadata.feeds (run) where finished_load_id is null;
create index feeds_finished on metadata.feeds (finished_load_id) where finished_load_id is not null;
create index feeds_lost on metadata.feeds (run) where not isempty(lost_seqs);
create table metadata.load_feeds (
    load_id bigint not null references metadata.load_audit,
    run text not null,
    upto_seq bigint,
    seqs int8multirange not null,
    events bigint not null,
    without_amount bigint not null,
    amounts jsonb not null,
    copies bigint not null,
    settled boolean not null default false,
    unique nulls not distinct (load_id, run, upto_seq)
);
create index load_feeds_unsettled on metadata.load_feeds (run) where not settled;
create table metadata.control_totals (
    run text not null,
    seq bigint not null,
    closed boolean not null,
    amounts jsonb,
    broken jsonb not null,
    last_offsets jsonb not null,
    topic_id text,
    contract text not null,
    sent_at timestamptz not null,
    load_id bigint not null references metadata.load_audit,
    primary key (run, seq)
);
create table metadata.control_watermark (
    "only" boolean primary key default true check ("only"),
    topic_id text,
    ends jsonb not null,
    unreadable bigint not null default 0,
    load_id bigint not null references metadata.load_audit,
    updated_at timestamptz not null default now()
);
create table metadata.gone_topics (
    topic_id text primary key,
    reason text not null,
    load_id bigint not null references metadata.load_audit
);
create table metadata.load_statuses (
    load_id bigint not null references metadata.load_audit,
    currency text not null,
    status text not null check (status in ('PENDING', 'SUCCESS', 'FAILED', 'SETTLED')),
    count bigint not null,
    amount numeric(38,4) not null,
    primary key (load_id, currency, status)
);
"""

# What loads before this version left: their states are counted once. Their feeds are not known by number, so that no
# total speaks of them.
BEFORE = """
insert into metadata.load_statuses
select load_id, currency, status, count(*), sum(amount) from raw.transactions group by 1, 2, 3;
insert into metadata.load_statuses
select greatest(p.load_id, f.load_id), f.currency, 'SETTLED', count(*), sum(f.amount)
from raw.transactions f join raw.transactions p on p.transaction_id = f.transaction_id and p.status = 'PENDING'
where f.status <> 'PENDING' group by 1, 2;
"""

PROOF = """
create table metadata.proof_forward (
    "only" boolean primary key default true check ("only"),
    proof_id uuid not null,
    checked_at timestamptz not null,
    load_id bigint not null,
    processed_load_id bigint not null,
    epoch bigint,
    seq bigint,
    sums jsonb not null
);
create table metadata.proof_days (
    day date not null,
    equation text not null,
    verdict text not null,
    lines bigint not null,
    primary key (day, equation, verdict)
);
create table metadata.data_quality_days (
    day date not null,
    metric text not null,
    rule text not null,
    currency text,
    rows_checked numeric not null,
    rows_broken numeric not null,
    amount_concerned numeric(38,4),
    unique nulls not distinct (day, metric, rule, currency)
);
"""

# Neither role may delete lines or metrics: both can only ask, and what may go is decided here.
PRUNE = """
create function metadata.prune_proofs() returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    with gone as (
        delete from metadata.proof where ctid in (
            select ctid from metadata.proof
            where checked_at < now() - interval '7 days' and verdict <> 'DIFFERENT'
            order by checked_at limit 20000
        ) returning (checked_at at time zone 'UTC')::date as day, equation, verdict
    )
    insert into metadata.proof_days as d select day, equation, verdict, count(*) from gone group by 1, 2, 3
    on conflict (day, equation, verdict) do update set lines = d.lines + excluded.lines
$$;

create function metadata.prune_quality() returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    with aged as (
        select load_id, (started_at at time zone 'UTC')::date as day from metadata.load_audit
        where load_id >= (select min(load_id) from metadata.data_quality_metrics)
            and started_at < now() - interval '7 days'
        order by load_id limit 500
    ), gone as (
        delete from metadata.data_quality_metrics m using aged where m.load_id = aged.load_id
        returning aged.day, metric, rule, currency, rows_checked, rows_broken, amount_concerned
    )
    insert into metadata.data_quality_days as d
    select day, metric, rule, currency, sum(rows_checked), sum(rows_broken), sum(amount_concerned)
    from gone group by 1, 2, 3, 4
    on conflict (day, metric, rule, currency) do update set rows_checked = d.rows_checked + excluded.rows_checked,
        rows_broken = d.rows_broken + excluded.rows_broken,
        amount_concerned = d.amount_concerned + excluded.amount_concerned
$$;
"""

COMMENTS = """
comment on table metadata.feeds is
    'One row a feed: which of its events have arrived (each number once), re-sent copies beside, and up to where the '
    'gateway''s control totals agree (settled). lost_*: settled numbers that stand in offsets accepted as lost, with '
    'what the gateway says of them. The feed (none) is events without run and seq.';
comment on table metadata.load_feeds is
    'What a load brought of each feed, cut where a control total ends; new numbers only, copies beside.';
comment on table metadata.control_totals is 'What the gateway says it has sent, up to seq, of each feed.';
comment on table metadata.control_watermark is 'How far the topic of control totals is read; written with a load.';
comment on table metadata.gone_topics is
    'Topics that were deleted and in place of which an operator accepted another one: what was sent to them and not '
    'loaded is lost.';
comment on table metadata.load_statuses is
    'New rows of silver by status; SETTLED: transactions whose PENDING row a final status has followed.';
comment on table metadata.proof_forward is
    'Sums that the last proof brings forward to the next, so that a proof costs what is new.';
comment on table metadata.proof_days is 'Proofs that were pruned: how many lines of each verdict a day had.';
comment on table metadata.data_quality_days is 'Quality metrics of loads that were pruned, summed by day.';
"""

GRANTS = """
grant select on metadata.feeds, metadata.load_feeds, metadata.control_totals, metadata.control_watermark,
    metadata.gone_topics, metadata.load_statuses, metadata.proof_forward, metadata.proof_days,
    metadata.data_quality_days
    to loader, dbt, reader;
grant insert, update on metadata.feeds, metadata.control_watermark to loader;
grant insert, update, delete on metadata.load_feeds, metadata.control_totals to loader;
grant insert on metadata.gone_topics, metadata.load_statuses to loader;
grant insert, update, delete on metadata.proof_forward to dbt;
revoke all on function metadata.prune_proofs, metadata.prune_quality from public;
grant execute on function metadata.prune_proofs to dbt;
grant execute on function metadata.prune_quality to loader;
"""


def upgrade() -> None:
    for statements in (FEEDS, BEFORE, PROOF, PRUNE, COMMENTS, GRANTS):
        op.get_bind().exec_driver_sql(statements)
