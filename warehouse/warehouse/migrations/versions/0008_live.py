"""The live view: running totals that are keyed by offset, the last payments, customers' states, alerts.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Where the engine stands is written in the transaction that changes everything else: an event counts once.
POSITIONS = """
create schema live;
create table live.opening (
    "only" boolean primary key default true check ("only"),
    topic_id text not null,
    opened_at timestamptz not null default clock_timestamp(),
    source text not null check (source in ('GOLD', 'BEGINNING')),
    build_id uuid,
    starts jsonb not null,
    restart_asked_at timestamptz,
    constraint gold_has_a_build check ((source = 'GOLD') = (build_id is not null))
);
create table live.positions (
    topic_id text not null,
    partition integer primary key,
    next_offset bigint not null,
    arrived_at timestamptz,
    moved_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);
create table live.totals (
    currency text not null,
    status text not null check (status in ('PENDING', 'SUCCESS', 'FAILED')),
    merchant_category text not null,
    payment_channel text not null,
    count bigint not null,
    amount numeric(38,4) not null,
    changed_at timestamptz not null default clock_timestamp(),
    primary key (currency, status, merchant_category, payment_channel)
) with (fillfactor = 50);
create table live.changes (
    partition integer not null,
    "offset" bigint not null,
    currency text not null,
    status text not null,
    merchant_category text not null,
    payment_channel text not null,
    count smallint not null check (count in (-1, 1)),
    amount numeric(20,4) not null,
    primary key (partition, "offset", status)
);
"""

# One row a payment, without what is personal. identity_hash and has_pending say what a later event of it may be.
PAYMENTS = """
create table live.payments (
    transaction_id text primary key,
    status text not null check (status in ('PENDING', 'SUCCESS', 'FAILED')),
    has_pending boolean not null,
    amount numeric(20,4) not null,
    currency text not null,
    customer_id text not null,
    merchant_name text not null,
    merchant_category text not null,
    payment_method text not null,
    payment_channel text not null,
    device_type text,
    city text,
    state text,
    country text,
    failure_reason text,
    is_fraud boolean not null,
    occurred_at timestamptz not null,
    utc_offset_minutes smallint not null,
    status_at timestamptz not null,
    arrived_at timestamptz not null,
    status_arrived_at timestamptz not null,
    identity_hash uuid not null,
    topic_id text not null,
    partition integer not null,
    "offset" bigint not null
) with (fillfactor = 80);
create index payments_arrived_at on live.payments (arrived_at);
create index payments_customer on live.payments (customer_id, occurred_at);
create table live.redriven (
    topic_id text not null,
    redrive_of text not null,
    arrived_at timestamptz not null,
    primary key (topic_id, redrive_of)
);
create table live.seconds (
    second timestamptz not null,
    currency text not null,
    status text not null,
    count bigint not null,
    amount numeric(38,4) not null,
    primary key (second, currency, status)
);
create table live.arrivals (
    second timestamptz primary key,
    events bigint not null,
    taken bigint not null,
    repeated bigint not null,
    rejected bigint not null,
    dead_letters bigint not null,
    longest_delay_ms bigint not null
);
"""

ALERTS = """
create table live.customers (
    customer_id text primary key,
    state jsonb not null,
    seen_at timestamptz not null
) with (fillfactor = 50);
create table live.alerts (
    alert_id text primary key,
    rule_code text not null,
    rule_version integer not null,
    raised_at timestamptz not null default clock_timestamp(),
    customer_id text not null,
    transaction_id text not null,
    status text not null,
    amount numeric(20,4) not null,
    currency text not null,
    merchant_name text not null,
    merchant_category text not null,
    payment_channel text not null,
    city text,
    state text,
    country text,
    occurred_at timestamptz not null,
    arrived_at timestamptz not null,
    topic_id text not null,
    partition integer not null,
    "offset" bigint not null,
    evidence jsonb not null,
    published_at timestamptz
);
create index alerts_arrived_at on live.alerts (arrived_at);
create index alerts_customer on live.alerts (customer_id, arrived_at);
create index alerts_unpublished on live.alerts (alert_id) where published_at is null;
create table live.alert_rules (
    rule_code text primary key,
    version integer not null,
    meaning text not null,
    thresholds jsonb not null
);
"""

# A check is judged where gold stands; what the engine counted beyond is taken off first.
DRIFT = """
create table live.checks (
    build_id uuid primary key,
    checked_at timestamptz not null default clock_timestamp(),
    topic_id text not null,
    ends jsonb not null,
    verdict text not null check (verdict in ('OK', 'DIFFERENT', 'UNCHECKED')),
    why text,
    constraint what_is_unchecked_is_explained check (verdict <> 'UNCHECKED' or why is not null)
);
create index checks_checked_at on live.checks (checked_at);
create table live.drift (
    build_id uuid not null references live.checks on delete cascade,
    currency text not null,
    status text not null,
    live_count bigint not null,
    live_amount numeric(38,4) not null,
    gold_count bigint not null,
    gold_amount numeric(38,4) not null,
    drift_count bigint not null generated always as (live_count - gold_count) stored,
    drift_amount numeric(38,4) not null generated always as (live_amount - gold_amount) stored,
    primary key (build_id, currency, status)
);
"""

COMMENTS = """
comment on schema live is
    'The flow this second, kept by `tieout live` from Kafka. All of it expires or can be opened again from gold.';
comment on table live.opening is
    'Where the totals began: with gold as of a build, or with nothing at the topic''s beginning. '
    'starts: offset by partition. restart_asked_at: the engine is to begin anew with gold.';
comment on table live.positions is
    'The next offset of each partition that is not counted yet. arrived_at: when its last counted event arrived.';
comment on table live.totals is
    'Running totals of payments by their latest status, as gold counts them. '
    'Sum over what is not asked for, never over currency.';
comment on table live.changes is
    'What each event did to the totals: +1 for a new payment, -1 and +1 for a settlement. '
    'Kept until a check has covered it.';
comment on table live.payments is
    'One row a payment, with its latest status. arrived_at: its first event; status_arrived_at: the event of '
    'this status; both by the broker''s clock.';
comment on table live.redriven is
    'Dead letters that were put back and have arrived, so that a second copy counts nothing.';
comment on table live.seconds is
    'Statuses reached, by second of arrival: count and amount per currency. Only the last minutes.';
comment on table live.arrivals is
    'Events by second of arrival and what became of them; longest_delay_ms: from arrival to the begin of the commit.';
comment on table live.customers is 'What the alert rules remember of a customer.';
comment on table live.alerts is
    'Alerts with their evidence. alert_id is made of rule, version and coordinates: a replay makes the same.';
comment on table live.alert_rules is 'The rules that the engine runs with, from contracts/contracts/alerts.yaml.';
comment on table live.checks is 'One row a build that the totals were compared with.';
comment on table live.drift is
    'Totals less what came after the build, against gold, per currency and status. Both drifts must be 0.';
"""

# The engine reads of silver what is not personal, and of gold what it compares itself with.
GRANTS = """
grant usage on schema live, raw, metadata, marts to live;
grant select, insert, update, delete, truncate on all tables in schema live to live;
grant usage on schema live to reader;
grant select on all tables in schema live to reader;
alter default privileges in schema live grant select on tables to reader;
grant select (transaction_id, customer_id, merchant_name, merchant_category, amount, payment_method, status,
    failure_reason, occurred_at, city, state, country, currency, device_type, is_fraud, utc_offset_minutes, redrive_of,
    status_at, known_at, identity_hash, load_id, topic_id, partition, "offset") on raw.transactions to live;
grant select (topic_id, partition, "offset", redrive_of) on raw.rejected_transactions to live;
grant select on metadata.builds, metadata.processed_loads, metadata.load_audit, metadata.load_offsets,
    metadata.consumer_watermarks to live;
"""


def upgrade() -> None:
    for statements in (POSITIONS, PAYMENTS, ALERTS, DRIFT, COMMENTS, GRANTS):
        op.get_bind().exec_driver_sql(statements)
