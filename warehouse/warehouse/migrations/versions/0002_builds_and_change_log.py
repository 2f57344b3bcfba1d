"""What a build of the marts keeps: its loads, the log of changes to the fact, and how far each mart has applied it.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# One build runs at a time: the lock says so first, the partial index behind it cannot be argued with.
BUILDS = """
create table metadata.builds (
    build_id uuid primary key,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    status text not null default 'RUNNING' check (status in ('RUNNING', 'SUCCESS', 'FAILED')),
    full_refresh boolean not null,
    lookback boolean not null,
    project_hash text not null,
    epoch bigint,
    error text,
    constraint end_is_known check ((status = 'RUNNING') = (finished_at is null)),
    constraint failure_is_explained check (status <> 'FAILED' or error is not null)
);
create unique index builds_one_running on metadata.builds ((true)) where status = 'RUNNING';
create index builds_started_at on metadata.builds (started_at);
create table metadata.build_loads (
    build_id uuid not null references metadata.builds,
    load_id bigint not null references metadata.load_audit,
    primary key (build_id, load_id)
);
create table metadata.processed_loads (
    load_id bigint primary key references metadata.load_audit,
    build_id uuid not null references metadata.builds,
    processed_at timestamptz not null default clock_timestamp()
);
create table metadata.build_lock (
    "only" boolean primary key default true check ("only"),
    build_id uuid not null,
    holder text not null,
    heartbeat_at timestamptz not null default clock_timestamp()
);
"""

# What the marts behind the fact need to know of a row, before and after.
LOGGED = {
    "occurred_on": "date",
    "occurred_at": "timestamptz",
    "currency": "text",
    "amount": "numeric(20,4)",
    "status": "text",
    "fee_revenue": "numeric(20,4)",
    "customer_id": "text",
    "merchant_key": "uuid",
    "merchant_name": "text",
    "merchant_category": "text",
    "payment_method": "text",
    "payment_channel": "text",
    "country": "text",
    "state": "text",
    "city": "text",
    "region": "text",
    "city_tier": "text",
    "is_fraud": "boolean",
    "known_at": "timestamptz",
    "load_id": "bigint",
}

CHANGE_LOG = f"""
create table metadata.fact_changes (
    epoch bigint not null,
    seq bigint generated always as identity,
    build_id uuid not null,
    changed_at timestamptz not null default clock_timestamp(),
    transaction_id text not null,
    {", ".join(f"old_{name} {kind}" for name, kind in LOGGED.items())},
    {", ".join(f"new_{name} {kind}" for name, kind in LOGGED.items())},
    primary key (epoch, seq)
);
create table metadata.consumer_watermarks (
    consumer text primary key,
    epoch bigint not null,
    seq bigint not null,
    build_id uuid not null,
    moved_at timestamptz not null default clock_timestamp()
);
"""

# A consumer moves from where its statement began to read. Had anyone else moved it meanwhile, its deltas would be
# applied twice: the row is then not where it was, and the whole transaction goes back.
MOVE = """
create function metadata.move_watermark(
    who text, from_epoch bigint, from_seq bigint, to_epoch bigint, to_seq bigint, build uuid
) returns void language plpgsql as $$
begin
    if from_epoch is null then
        insert into metadata.consumer_watermarks (consumer, epoch, seq, build_id)
        values (who, to_epoch, to_seq, build);
        return;
    end if;
    update metadata.consumer_watermarks
    set epoch = to_epoch, seq = to_seq, build_id = build, moved_at = clock_timestamp()
    where consumer = who and epoch = from_epoch and seq = from_seq;
    if not found then
        raise exception 'watermark of %% is no longer (%%, %%): another build has moved it',
            who, from_epoch, from_seq using errcode = 'serialization_failure';
    end if;
end $$;
revoke all on function metadata.move_watermark from public;
grant execute on function metadata.move_watermark to dbt;
"""

COMMENTS = """
comment on table metadata.builds is 'One row a build of the marts: which project, how it ended.';
comment on table metadata.build_loads is 'The loads of a build, fixed before it starts.';
comment on table metadata.processed_loads is
    'Loads that fact_transactions holds; written in the same transaction as the fact.';
comment on table metadata.build_lock is 'At most one row: who builds now. A holder whose heartbeat stops loses it.';
comment on table metadata.fact_changes is
    'Every row that the fact gained or changed, old and new values, by seq. A full refresh begins an epoch.';
comment on table metadata.consumer_watermarks is
    'How far each mart has applied the change log; the row fact_transactions is the log''s own end.';
"""

GRANTS = """
grant select on metadata.builds, metadata.build_loads, metadata.processed_loads, metadata.build_lock,
    metadata.fact_changes, metadata.consumer_watermarks to loader, dbt, reader;
grant insert, update on metadata.builds, metadata.consumer_watermarks to dbt;
grant insert on metadata.build_loads, metadata.processed_loads to dbt;
grant insert, update, delete on metadata.build_lock to dbt;
grant insert, delete on metadata.fact_changes to dbt;
"""


def upgrade() -> None:
    for statements in (BUILDS, CHANGE_LOG, MOVE, COMMENTS, GRANTS):
        op.get_bind().exec_driver_sql(statements)
