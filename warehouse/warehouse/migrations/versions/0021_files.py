"""Files that became feeds, and the rows of them that were refused.

Revision ID: 0021
Revises: 0020
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# The sums of a file are known before anything of it is sent: a run that was killed is continued by them.
FILES = """
alter table metadata.control_totals add column file jsonb;
create table metadata.files (
    run text primary key,
    entity text not null,
    name text not null,
    id_name text,
    sha256 text not null,
    size bigint not null,
    mapping text not null,
    mapping_file text not null,
    mapping_sha256 text not null,
    contract text not null,
    total jsonb not null,
    columns text[] not null,
    sketch bytea,
    state text not null default 'SENDING' check (state in ('SENDING', 'SENT')),
    changes text references metadata.files,
    asked_by text not null,
    began_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    topic_id text,
    known_seq bigint not null default 0,
    known_offsets jsonb not null,
    unique (sha256, mapping_sha256),
    constraint ended_when_sent check ((state = 'SENT') = (ended_at is not null))
);
create index files_name on metadata.files (name, began_at);
create table raw.refused_rows (
    run text not null references metadata.files,
    line bigint not null,
    byte_offset bigint,
    content bytea not null,
    reasons text[] not null check (cardinality(reasons) > 0),
    problems text[] not null,
    currency text,
    amount numeric(20,4),
    refused_at timestamptz not null default clock_timestamp(),
    decision text check (decision in ('SENT_AGAIN', 'WRITTEN_OFF')),
    decided_at timestamptz,
    decided_by text,
    reason text,
    new_run text references metadata.files,
    primary key (run, line),
    constraint money_is_whole check ((amount is null) = (currency is null)),
    constraint decision_is_whole check ((decision is null) = (decided_at is null or decided_by is null)),
    constraint sent_again_as check (decision <> 'SENT_AGAIN' or new_run is not null),
    constraint write_off_has_reason check (decision <> 'WRITTEN_OFF' or coalesce(length(trim(reason)) > 0, false))
);
create index refused_rows_open on raw.refused_rows (run) where decision is null;
create view metadata.refused_rows as
select r.run, f.name, r.line, r.byte_offset, r.reasons, r.currency, r.amount, r.refused_at,
    coalesce(r.decision, 'OPEN') as state, r.decided_at, r.reason, r.new_run
from raw.refused_rows r join metadata.files f using (run);
"""

COMMENTS = """
comment on table metadata.files is
    'Files that were ingested, each one feed: the same bytes with the same mapping are not sent a second time.';
comment on column metadata.files.run is 'The feed: sender, and a hash of name, size, content, mapping and contract.';
comment on column metadata.files.total is 'What the file holds: rows, refused and left out, counts and exact sums.';
comment on column metadata.files.known_seq is 'So many events are acknowledged; the others lie behind known_offsets.';
comment on column metadata.files.id_name is 'The file of which this one is another export: ids are made with it.';
comment on column metadata.files.sketch is
    'Of a file without ids: the smallest hashes of its rows, by which another file with the same rows is found.';
comment on column metadata.control_totals.file is 'What the file of the feed holds; null where it is made of none.';
comment on table raw.refused_rows is
    'Rows of files that could not be sent, as they stand there: personal data, for the role ingest alone.';
comment on view metadata.refused_rows is 'Refused rows with reasons and money, without their content.';
"""

GRANTS = """
grant usage on schema raw, metadata to ingest;
grant select, insert on metadata.files to ingest;
grant update (state, ended_at, topic_id, known_seq, known_offsets) on metadata.files to ingest;
revoke all on raw.refused_rows from dbt;
grant select, insert on raw.refused_rows to ingest;
grant update (decision, decided_at, decided_by, reason, new_run) on raw.refused_rows to ingest;
grant insert on metadata.unmask_log to ingest;
-- What an earlier version of a file has in silver: without anything personal.
grant select (run, finished_load_id) on metadata.feeds to ingest;
grant select (run, transaction_id, amount, currency) on raw.transactions, raw.rejected_transactions to ingest;
grant select (run, refund_id, amount, currency) on raw.refunds, raw.rejected_refunds to ingest;
"""

# The ids of a new version are compared with those of the earlier ones in the database.
TEMPORARY = """
do $$ begin
    execute format('grant temporary on database %%I to ingest', current_database());
end $$;
"""


def upgrade() -> None:
    for statements in (FILES, COMMENTS, GRANTS, TEMPORARY):
        op.get_bind().exec_driver_sql(statements)
