"""What orchestrated work keeps: the run that asked for it, days that are built again, incidents, backfills, retention.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

RUNS = """
alter table metadata.load_audit add column run_id text;
create index load_audit_run on metadata.load_audit (run_id) where run_id is not null;
alter table metadata.proof add column run_id text;
alter table metadata.builds
    add column run_id text,
    add column days datemultirange not null default '{}',
    add column events bigint,
    add column delay_p50_seconds numeric(12,3),
    add column delay_p95_seconds numeric(12,3);
create index builds_run on metadata.builds (run_id) where run_id is not null;
alter table metadata.build_lock
    add column run_id text,
    add column lease_until timestamptz;
create table metadata.build_nodes (
    build_id uuid not null references metadata.builds,
    node text not null,
    kind text not null check (kind in ('model', 'test')),
    status text not null default 'expected',
    said_at timestamptz not null default clock_timestamp(),
    primary key (build_id, node)
);
"""

INCIDENTS = """
create table metadata.pipeline_incidents (
    incident_id uuid primary key default gen_random_uuid(),
    at timestamptz not null default clock_timestamp(),
    dag_id text not null,
    task_id text not null,
    run_id text not null,
    try_number integer not null,
    reason text not null,
    log_url text,
    sent_at timestamptz,
    unique (dag_id, task_id, run_id, try_number)
);
create index pipeline_incidents_at on metadata.pipeline_incidents (at);
"""

BACKFILLS = """
create table metadata.backfills (
    backfill_id uuid primary key default gen_random_uuid(),
    request text not null,
    run_id text,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    build_id uuid references metadata.builds
);
create unique index backfills_one_unfinished on metadata.backfills (request) where finished_at is null;
create table metadata.backfill_days (
    backfill_id uuid not null references metadata.backfills,
    day date not null,
    load_id bigint references metadata.load_audit,
    rows_read bigint not null,
    rows_loaded bigint not null,
    duplicates bigint not null,
    rejected bigint not null,
    already_loaded bigint not null,
    restored_loads bigint[] not null default '{}',
    done_at timestamptz not null default clock_timestamp(),
    built_by uuid references metadata.builds,
    primary key (backfill_id, day, done_at)
);
create index backfill_days_unbuilt on metadata.backfill_days (done_at) where built_by is null;
"""

RETENTION = """
create table metadata.retention_floor (
    removed_at timestamptz not null default clock_timestamp(),
    book text not null check (book in ('DEAD_LETTERS', 'LOADS', 'PROOFS')),
    before timestamptz not null,
    topic_id text,
    partition integer,
    run text,
    currency text,
    start_offset bigint,
    end_offset bigint,
    count bigint not null,
    amount numeric(38,4)
);
create index retention_floor_book on metadata.retention_floor (book, topic_id, partition);
"""

# Nobody but the owner may delete these rows. What may go is decided here, not by the caller: the roles below can only
# ask, and not for anything younger than a week.
EXPIRE = """
create function metadata.refuse_young(before timestamptz) returns void language plpgsql as $$
begin
    if before > clock_timestamp() - interval '7 days' then
        raise exception 'nothing younger than 7 days is removed' using errcode = 'invalid_parameter_value';
    end if;
end $$;

create function metadata.expire_dead_letters(before timestamptz) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare removed bigint;
begin
    perform metadata.refuse_young(before);
    with floors as (
        select topic_id, partition, max("offset") + 1 as floor from raw.dead_letters
        where arrived_at < before group by topic_id, partition
    ), gone as (
        delete from raw.dead_letters d using floors f
        where d.topic_id = f.topic_id and d.partition = f.partition and d."offset" < f.floor
        returning d.topic_id, d.partition, d.run, d."offset"
    ), noted as (
        insert into metadata.retention_floor
            (book, before, topic_id, partition, run, start_offset, end_offset, count)
        select 'DEAD_LETTERS', before, topic_id, partition, run, min("offset"), max("offset") + 1, count(*)
        from gone group by topic_id, partition, run returning count
    )
    select coalesce(sum(count), 0) into removed from noted;
    return removed;
end $$;

-- The totals, offsets and quality metrics of old loads: all loads up to one, without a gap, so that what
-- is left still accounts for every offset behind it. The newest load of a partition stays: it says where loading is.
create function metadata.expire_loads(before timestamptz) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    first_kept bigint;
    removed bigint;
begin
    perform metadata.refuse_young(before);
    select least(
        (select min(load_id) from metadata.load_audit where status = 'RUNNING' or finished_at >= before),
        (select min(load_id) from (
            select distinct on (o.partition) o.load_id
            from metadata.load_offsets o
            inner join metadata.load_watermark w on w.lake_table = 'raw_transactions' and w.topic_id = o.topic_id
            order by o.partition, o.end_offset desc, o.load_id desc
        ) newest)
    ) into first_kept;
    if first_kept is null then
        return 0;
    end if;
    insert into metadata.retention_floor
        (book, before, topic_id, partition, start_offset, end_offset, count)
    select 'LOADS', before, o.topic_id, o.partition, min(o.start_offset), max(o.end_offset), coalesce(sum(t.count), 0)
    from metadata.load_offsets o
    left join (
        select load_id, partition, sum(case book when 'ALREADY_LOADED' then -count else count end) as count
        from metadata.load_totals where book in ('BRONZE', 'ALREADY_LOADED', 'DEAD_LETTER') group by 1, 2
    ) t on t.load_id = o.load_id and t.partition = o.partition
    where o.load_id < first_kept group by o.topic_id, o.partition;
    insert into metadata.retention_floor (book, before, partition, currency, count, amount)
    select 'LOADS', before, partition, currency, sum(count), sum(amount)
    from metadata.load_totals where book = 'BRONZE' and load_id < first_kept group by partition, currency;
    delete from metadata.data_quality_metrics where load_id < first_kept;
    delete from metadata.load_totals where load_id < first_kept;
    with gone as (delete from metadata.load_offsets where load_id < first_kept returning load_id)
    select count(distinct load_id) into removed from gone;
    delete from metadata.load_audit a where load_id < first_kept and status = 'FAILED'
        and not exists (select from metadata.lost_offsets l where l.load_id = a.load_id)
        and not exists (select from metadata.load_watermark w where w.load_id = a.load_id)
        and not exists (select from metadata.build_loads b where b.load_id = a.load_id);
    return removed;
end $$;

-- The newest proof stays, however old it is.
create function metadata.expire_proofs(before timestamptz) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare removed bigint;
begin
    perform metadata.refuse_young(before);
    delete from metadata.proof
    where checked_at < before and proof_id <> (select proof_id from metadata.proof order by checked_at desc limit 1);
    get diagnostics removed = row_count;
    if removed > 0 then
        insert into metadata.retention_floor (book, before, count) values ('PROOFS', before, removed);
    end if;
    return removed;
end $$;
"""

COMMENTS = """
comment on column metadata.load_audit.run_id is 'The run that asked for the load, in the words of its orchestrator.';
comment on column metadata.builds.days is 'Business days whose transactions and summaries are computed again.';
comment on column metadata.builds.delay_p95_seconds is
    '95 of 100 events of the build''s loads were in proven marts within so many seconds of their arrival.';
comment on column metadata.build_lock.run_id is 'The run that holds the lock, over many processes; its lease ends.';
comment on table metadata.build_nodes is
    'Models and tests that a build has to bring to success, and what became of each. Kept for the newest builds.';
comment on table metadata.pipeline_incidents is 'Tasks that failed for good, and whether the webhook was told.';
comment on table metadata.backfills is 'Ranges that were read again from the lake; the unfinished one is resumed.';
comment on table metadata.backfill_days is
    'Business days of a backfill. restored_loads: loads that lacked rows, which the next build merges again.';
comment on table metadata.retention_floor is 'What retention removed, with its totals: the full proof begins there.';
"""

GRANTS = """
grant select on metadata.build_nodes, metadata.pipeline_incidents, metadata.backfills, metadata.backfill_days,
    metadata.retention_floor to loader, dbt, reader;
grant insert, update, delete on metadata.build_nodes to dbt;
grant insert, update on metadata.pipeline_incidents to dbt;
grant insert, update on metadata.backfills, metadata.backfill_days to loader;
grant update (built_by) on metadata.backfill_days to dbt;
revoke all on function metadata.expire_dead_letters, metadata.expire_loads, metadata.expire_proofs,
    metadata.refuse_young from public;
grant execute on function metadata.expire_dead_letters, metadata.expire_loads, metadata.expire_proofs to loader;
"""


def upgrade() -> None:
    for statements in (RUNS, INCIDENTS, BACKFILLS, RETENTION, EXPIRE, COMMENTS, GRANTS):
        op.get_bind().exec_driver_sql(statements)
