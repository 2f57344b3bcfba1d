"""Silver, the load's metadata, and who may do what.

The checks are those of contract 1.0.0 and stay as they are here: a later contract gets a later migration.
A test compares the newest schema with the contract.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMAS = "create schema raw; create schema staging; create schema intermediate; create schema marts;"

# The contract's blank characters: Unicode's white space, and what has no width.
BLANKS = " || ".join(
    f"chr({point})"
    for point in (
        *range(9, 14), *range(28, 33), 133, 160, 173, 5760, 6158, *range(8192, 8206), 8232, 8233, 8239, 8287, 8288,
        12288, 65279,
    )
)  # fmt: skip
COORDINATES = 'topic_id text not null, partition integer not null, "offset" bigint not null'

# One row a transaction and status. No foreign key to load_audit: it would cost a check a row, and the load writes both
# in one transaction. Coordinates lead with the topic, so that inserts touch one leaf page a partition.
TRANSACTIONS = f"""
create table raw.transactions (
    transaction_id text not null,
    customer_id text not null,
    customer_name text,
    customer_email text,
    merchant_name text not null,
    merchant_category text not null,
    amount numeric(20,4) not null,
    payment_method text not null,
    status text not null,
    failure_reason text,
    occurred_at timestamptz not null,
    city text,
    state text,
    country text,
    currency text not null,
    device_type text,
    ip_address text,
    is_fraud boolean not null,
    utc_offset_minutes smallint not null,
    run text,
    seq bigint,
    redrive_of text,
    status_at timestamptz not null,
    known_at timestamptz not null,
    content_hash uuid not null,
    identity_hash uuid not null,
    load_id bigint not null,
    {COORDINATES},
    primary key (transaction_id, status),
    constraint transactions_coordinates unique (topic_id, partition, "offset"),
    constraint transaction_id_too_long check (coalesce(length(transaction_id), 0) <= 64),
    constraint transaction_id_blank check (length(trim(transaction_id, {BLANKS})) > 0),
    constraint customer_id_too_long check (coalesce(length(customer_id), 0) <= 64),
    constraint customer_id_missing check (length(trim(customer_id, {BLANKS})) > 0),
    constraint customer_name_too_long check (coalesce(length(customer_name), 0) <= 200),
    constraint customer_email_too_long check (coalesce(length(customer_email), 0) <= 320),
    constraint merchant_name_too_long check (coalesce(length(merchant_name), 0) <= 200),
    constraint merchant_name_missing check (length(trim(merchant_name, {BLANKS})) > 0),
    constraint merchant_category_too_long check (coalesce(length(merchant_category), 0) <= 100),
    constraint merchant_category_missing check (length(trim(merchant_category, {BLANKS})) > 0),
    constraint amount_not_positive check (amount > 0),
    constraint payment_method_unknown
        check (payment_method in ('Credit Card', 'Debit Card', 'UPI', 'Net Banking', 'Wallet')),
    constraint status_unknown check (status in ('PENDING', 'SUCCESS', 'FAILED')),
    constraint failure_reason_too_long check (coalesce(length(failure_reason), 0) <= 200),
    constraint failure_reason_missing
        check (status <> 'FAILED' or length(trim(coalesce(failure_reason, ''), {BLANKS})) > 0),
    constraint failure_reason_unexpected check (status = 'FAILED' or failure_reason is null),
    constraint timestamp_in_future check (occurred_at <= known_at + interval '1 day'),
    constraint timestamp_too_early check (occurred_at >= timestamptz '2000-01-01 00:00:00+00'),
    constraint city_too_long check (coalesce(length(city), 0) <= 100),
    constraint state_too_long check (coalesce(length(state), 0) <= 100),
    constraint country_too_long check (coalesce(length(country), 0) <= 100),
    constraint currency_unknown check (currency in ('USD', 'INR', 'EUR', 'GBP', 'JPY', 'KWD')),
    constraint device_type_too_long check (coalesce(length(device_type), 0) <= 50),
    constraint ip_address_too_long check (coalesce(length(ip_address), 0) <= 45),
    constraint is_fraud_missing check (is_fraud is not null)
);
create unique index transactions_one_final_status on raw.transactions (transaction_id)
    where status in ('SUCCESS', 'FAILED');
create index transactions_load on raw.transactions (load_id);
create index transactions_occurred_at on raw.transactions (occurred_at);
"""

# What did not get in keeps its fields as they came, so nothing but coordinates is promised of them.
OTHER_BOOKS = f"""
create table raw.duplicates (
    transaction_id text not null,
    status text not null,
    amount numeric(20,4) not null,
    currency text not null,
    content_hash uuid not null,
    run text,
    seq bigint,
    redrive_of text,
    status_at timestamptz not null,
    known_at timestamptz not null,
    load_id bigint not null,
    {COORDINATES},
    primary key (topic_id, partition, "offset")
);
create index duplicates_load on raw.duplicates (load_id);
create table raw.rejected_transactions (
    transaction_id text,
    customer_id text,
    customer_name text,
    customer_email text,
    merchant_name text,
    merchant_category text,
    amount numeric(20,4),
    payment_method text,
    status text,
    failure_reason text,
    occurred_at timestamptz,
    city text,
    state text,
    country text,
    currency text,
    device_type text,
    ip_address text,
    is_fraud boolean,
    utc_offset_minutes smallint,
    run text,
    seq bigint,
    redrive_of text,
    status_at timestamptz,
    known_at timestamptz,
    content_hash uuid,
    identity_hash uuid,
    load_id bigint not null,
    {COORDINATES},
    reasons text[] not null check (cardinality(reasons) > 0),
    primary key (topic_id, partition, "offset")
);
create index rejected_transactions_load on raw.rejected_transactions (load_id);
create table raw.dead_letters (
    {COORDINATES},
    reasons text[] not null check (cardinality(reasons) > 0),
    arrived_at timestamptz not null,
    value_bytes bigint,
    run text,
    seq bigint,
    redrive_of text,
    load_id bigint not null,
    primary key (topic_id, partition, "offset")
);
create index dead_letters_load on raw.dead_letters (load_id);
"""

# A load that read other than what the lake's log promised, or whose rows are not all in one of the books, cannot be
# called a success: the database refuses it.
AUDIT = """
create table metadata.load_audit (
    load_id bigint generated always as identity primary key,
    status text not null check (status in ('RUNNING', 'SUCCESS', 'FAILED')),
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    seconds numeric(12,3),
    path text check (path in ('FRESH', 'STAGE')),
    from_version bigint,
    to_version bigint,
    dead_letter_from_version bigint,
    dead_letter_to_version bigint,
    rows_expected bigint,
    rows_read bigint,
    rows_loaded bigint,
    duplicates bigint,
    rejected bigint,
    already_loaded bigint,
    dead_letters_expected bigint,
    dead_letters_read bigint,
    dead_letters bigint,
    error_code text,
    error_detail text,
    constraint success_is_complete check (status <> 'SUCCESS' or coalesce(
        finished_at is not null
        and rows_read = rows_expected
        and rows_read = rows_loaded + duplicates + rejected + already_loaded
        and dead_letters_read = dead_letters_expected
        and dead_letters <= dead_letters_read, false)),
    constraint failure_is_explained check (status <> 'FAILED' or error_code is not null)
);
create table metadata.load_offsets (
    load_id bigint not null references metadata.load_audit,
    topic_id text not null,
    partition integer not null,
    start_offset bigint not null,
    end_offset bigint not null check (end_offset >= start_offset),
    primary key (load_id, partition)
);
create index load_offsets_ends on metadata.load_offsets (topic_id, partition, end_offset);
create table metadata.lost_offsets (
    load_id bigint not null references metadata.load_audit,
    topic_id text not null,
    partition integer not null,
    start_offset bigint not null,
    end_offset bigint not null check (end_offset > start_offset),
    offsets bigint not null check (offsets between 0 and end_offset - start_offset),
    reason text not null,
    primary key (topic_id, partition, start_offset)
);
create table metadata.load_totals (
    load_id bigint not null references metadata.load_audit,
    book text not null
        check (book in ('BRONZE', 'NEW', 'DUPLICATE', 'REJECTED', 'ALREADY_LOADED', 'DEAD_LETTER')),
    partition integer not null,
    currency text,
    count bigint not null,
    amount numeric(38,4),
    unique nulls not distinct (load_id, book, partition, currency)
);
create table metadata.data_quality_metrics (
    load_id bigint not null references metadata.load_audit,
    metric text not null check (metric in ('RULE', 'NULLS', 'DUPLICATES', 'UNKNOWN_FIELDS', 'DEAD_LETTERS')),
    rule text not null,
    currency text,
    rows_checked bigint not null,
    rows_broken bigint not null check (rows_broken between 0 and rows_checked),
    amount_concerned numeric(38,4),
    unique nulls not distinct (load_id, metric, rule, currency)
);
create table metadata.load_watermark (
    lake_table text primary key check (lake_table in ('raw_transactions', 'dead_letter_queue')),
    table_id text not null,
    version bigint not null,
    topic_id text,
    ends jsonb not null,
    load_id bigint references metadata.load_audit,
    updated_at timestamptz not null default now()
);
create table metadata.proof (
    proof_id uuid not null,
    checked_at timestamptz not null,
    equation text not null,
    scope jsonb not null,
    currency text,
    left_count bigint not null,
    left_amount numeric(38,4),
    right_count bigint not null,
    right_amount numeric(38,4),
    verdict text not null check (verdict in ('OK', 'OPEN', 'UNATTESTED', 'DIFFERENT'))
);
create index proof_checked_at on metadata.proof (checked_at);
"""

COMMENTS = """
comment on table raw.transactions is
    'Silver: one row a transaction and status. Only the loader adds rows, nobody changes them.';
comment on table raw.duplicates is
    'Events that came again with the same content as the row in raw.transactions.';
comment on table raw.rejected_transactions is
    'Well-formed events that break a rule of the contract, with every broken rule.';
comment on table raw.dead_letters is 'Catalogue of malformed events; their bytes stay in the lake.';
comment on table metadata.load_audit is 'One row a load: what it read, where its rows went, how it ended.';
comment on table metadata.load_offsets is 'Kafka offsets that a load accounts for, end exclusive.';
comment on table metadata.lost_offsets is
    'Offsets that retention took before they were read and that an operator accepted as lost, end exclusive. '
    'offsets: without those that are dead letters after all.';
comment on table metadata.load_totals is
    'Control totals of a load, per book, partition and currency. Currencies outside the contract: NULL, by count only.';
comment on table metadata.data_quality_metrics is 'What a load found, per rule and currency.';
comment on table metadata.load_watermark is
    'How far the loader has read the lake; written with the rows, in one transaction.';
comment on table metadata.proof is 'What each proof found, equation by equation.';
"""

GRANTS = """
revoke all on schema public from public;
grant usage on schema raw, metadata to loader, dbt;
grant usage on schema metadata, marts to reader;
grant usage, create on schema staging, intermediate, marts to dbt;

grant select, insert on raw.transactions, raw.duplicates, raw.rejected_transactions, raw.dead_letters to loader;
grant select on all tables in schema metadata to loader, dbt, reader;
grant insert on metadata.load_audit, metadata.load_offsets, metadata.lost_offsets, metadata.load_totals,
    metadata.data_quality_metrics, metadata.load_watermark to loader;
grant update on metadata.load_audit, metadata.load_watermark to loader;
grant select on all tables in schema raw to dbt;
grant insert on metadata.proof to dbt;

alter default privileges in schema raw grant select on tables to dbt;
alter default privileges in schema metadata grant select on tables to loader, dbt, reader;
alter default privileges in schema marts grant select on tables to reader;
"""

# The loader stages in a temporary table of its own session: nothing of it is left after a kill.
TEMPORARY = """
do $$ begin
    execute format('grant temporary on database %%I to loader, dbt', current_database());
end $$
"""


def upgrade() -> None:
    for statements in (SCHEMAS, TRANSACTIONS, OTHER_BOOKS, AUDIT, COMMENTS, GRANTS, TEMPORARY):
        op.get_bind().exec_driver_sql(statements)
