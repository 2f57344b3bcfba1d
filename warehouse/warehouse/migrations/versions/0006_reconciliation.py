"""Outside statements and how they agree with the books.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KINDS = """
    kind text not null check (kind in ('MATCHED', 'MISSING_WITH_US', 'MISSING_WITH_THEM', 'AMOUNT_DIFFERS',
        'STATUS_DIFFERS', 'DATE_DIFFERS', 'DUPLICATE_IN_FILE', 'GOLD_DIFFERS'))
"""

TABLES = f"""
create table metadata.reconciliation_runs (
    run_id uuid primary key,
    checked_at timestamptz not null,
    file text not null,
    file_sha256 text not null,
    first_day date not null,
    last_day date not null,
    days integer not null check (days > 0),
    lines bigint not null,
    matched bigint not null,
    differences bigint not null,
    differences_kept bigint not null,
    waiting_for_build bigint not null,
    footer text not null check (footer in ('AGREES', 'DIFFERS', 'NONE')),
    seconds numeric(12,3) not null,
    verdict text not null check (verdict in ('OK', 'DIFFERENT')),
    constraint verdict_is_what_was_found check ((verdict = 'OK') = (differences = 0 and footer <> 'DIFFERS'))
);
create index reconciliation_runs_checked_at on metadata.reconciliation_runs (checked_at);
create table metadata.reconciliation_totals (
    run_id uuid not null references metadata.reconciliation_runs,
    currency text not null,
    {KINDS},
    their_count bigint not null,
    their_amount numeric(38,4) not null,
    our_count bigint not null,
    our_amount numeric(38,4) not null,
    primary key (run_id, currency, kind)
);
create table metadata.reconciliation_differences (
    run_id uuid not null references metadata.reconciliation_runs,
    {KINDS},
    line bigint,
    transaction_id text not null,
    their_date date,
    our_date date,
    their_currency text,
    our_currency text,
    their_amount numeric(20,4),
    our_amount numeric(20,4),
    their_status text,
    our_status text,
    gold_amount numeric(20,4),
    gold_status text,
    redrive_of text,
    check (line is not null or kind = 'MISSING_WITH_THEM')
);
create index reconciliation_differences_run on metadata.reconciliation_differences (run_id);
"""

COMMENTS = """
comment on table metadata.reconciliation_runs is 'One row a comparison of an outside statement with the books.';
comment on table metadata.reconciliation_totals is
    'What a comparison found per currency and kind; each line and each of our transactions is counted once.';
comment on table metadata.reconciliation_differences is
    'What does not agree, up to a number that the run states; the CSV of the run has all of it.';
"""

# The role that proves also reconciles: it reads raw and marts, and what it found it can add and never change.
GRANTS = """
grant select on metadata.reconciliation_runs, metadata.reconciliation_totals, metadata.reconciliation_differences
    to dbt, reader;
grant insert on metadata.reconciliation_runs, metadata.reconciliation_totals, metadata.reconciliation_differences
    to dbt;
"""


def upgrade() -> None:
    for statements in (TABLES, COMMENTS, GRANTS):
        op.get_bind().exec_driver_sql(statements)
