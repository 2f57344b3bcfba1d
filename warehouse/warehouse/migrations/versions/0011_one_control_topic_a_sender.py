"""Control totals by sender: the first content stands, another one is kept, and an operator can end a feed.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Feeds that no event has come of are counted with each new one, so that there are never too many of them.
FEEDS = """
alter table metadata.feeds
    add column contradictions bigint not null default 0,
    add column is_void boolean not null default false;
create index feeds_that_never_came on metadata.feeds (run) where events = 0 and not is_void;
create table metadata.contradicting_totals (
    run text not null references metadata.feeds,
    seq bigint not null,
    closed boolean not null,
    amounts jsonb,
    broken jsonb not null,
    sent_at timestamptz not null,
    load_id bigint not null references metadata.load_audit
);
create index contradicting_totals_run on metadata.contradicting_totals (run);
create table metadata.feed_voids (
    run text primary key references metadata.feeds,
    reason text not null check (length(trim(reason)) > 0),
    voided_by text not null,
    voided_at timestamptz not null default clock_timestamp(),
    verdict text not null,
    events bigint not null,
    settled_seq bigint not null,
    closed_seq bigint,
    contradictions bigint not null
);
"""

# Redrives of before sent their control totals to the gateway's topic, where some may still be unread.
SENDERS = """
alter table metadata.control_watermark
    add column sender text not null default 'gateway',
    add column foreign_totals bigint not null default 0,
    add column refused_totals bigint not null default 0,
    drop constraint control_watermark_pkey,
    add primary key (sender);
alter table metadata.redrive_feeds add column used_gateway_topic boolean not null default false;
update metadata.redrive_feeds set used_gateway_topic = true;
"""

# Of differences that repeat, the first of each day stays: a thousand a day at most.
PROOF = """
alter table metadata.proof
    drop constraint proof_verdict_check,
    add constraint proof_verdict_check check (verdict in ('OK', 'OPEN', 'UNATTESTED', 'VOID', 'DIFFERENT')),
    add column is_kept boolean not null default false;
create index proof_prunable on metadata.proof (checked_at) where not is_kept;
create or replace function metadata.prune_proofs() returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    with aged as (
        select ctid as place, checked_at, (checked_at at time zone 'UTC')::date as day, equation, verdict,
            md5(scope::text || coalesce(currency, '')) as line
        from metadata.proof where checked_at < now() - interval '7 days' and not is_kept
        order by checked_at limit 20000
    ), kept as (
        select (checked_at at time zone 'UTC')::date as day, equation,
            md5(scope::text || coalesce(currency, '')) as line
        from metadata.proof
        where is_kept and checked_at >= (select min(day) from aged)::timestamp at time zone 'UTC'
            and checked_at < ((select max(day) from aged) + 1)::timestamp at time zone 'UTC'
    ), kept_days as (
        select day, count(*) as lines from kept group by 1
    ), first as (
        select distinct on (day, equation, line) place, day, checked_at from aged a
        where verdict = 'DIFFERENT'
            and not exists (select from kept k where (k.day, k.equation, k.line) = (a.day, a.equation, a.line))
        order by day, equation, line, checked_at
    ), chosen as (
        select place from (
            select place, day, row_number() over (partition by day order by checked_at) as number from first
        ) f left join kept_days using (day)
        where number + coalesce(lines, 0) <= 1000
    ), keeping as (
        update metadata.proof set is_kept = true where ctid in (select place from chosen)
    ), gone as (
        delete from metadata.proof where ctid in (select place from aged except select place from chosen)
        returning (checked_at at time zone 'UTC')::date as day, equation, verdict
    )
    insert into metadata.proof_days as d select day, equation, verdict, count(*) from gone group by 1, 2, 3
    on conflict (day, equation, verdict) do update set lines = d.lines + excluded.lines
$$;
"""

COMMENTS = """
comment on table metadata.contradicting_totals is
    'Control totals from a feed''s own sender whose counts, amounts or broken kinds are not those of the total that '
    'stands, or that close below a number stated before: the first few of each feed. The feed is DIFFERENT until it is '
    'ended.';
comment on table metadata.feed_voids is
    'Feeds that an operator has ended: who, when, why, and what the books said of them then. E0 compares them no more.';
comment on column metadata.feeds.contradictions is 'How many control totals contradicted one that stands.';
comment on column metadata.feeds.is_void is 'Ended by an operator: metadata.feed_voids says who and why.';
comment on column metadata.control_watermark.sender is 'Whose topic of control totals: only that user writes it.';
comment on column metadata.control_watermark.foreign_totals is 'Totals of feeds of another sender: passed over.';
comment on column metadata.control_watermark.refused_totals is
    'Totals that were passed over because no event has come of too many feeds already.';
comment on column metadata.redrive_feeds.used_gateway_topic is
    'Of before redrives had a topic of control totals of their own: what the gateway''s topic says of it counts.';
comment on column metadata.proof.is_kept is 'A difference that is kept for good: the first of its kind on its day.';
"""

GRANTS = """
grant select on metadata.contradicting_totals, metadata.feed_voids to loader, dbt, reader;
grant insert on metadata.contradicting_totals, metadata.feed_voids to loader;
"""


def upgrade() -> None:
    for statements in (FEEDS, SENDERS, PROOF, COMMENTS, GRANTS):
        op.get_bind().exec_driver_sql(statements)
