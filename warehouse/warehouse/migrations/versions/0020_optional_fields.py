"""Payments may say how long the provider took, the customer's segment and the fee; nobody has to say what is a fraud.

Revision ID: 0020
Revises: 0019
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# The conditions are those of contract 1.1.0; a later contract changes them by `tieout contract evolve`.
TABLES = """
alter table raw.transactions
    add column if not exists processing_seconds numeric(20,4),
    add column if not exists customer_segment text,
    add column if not exists fee_percent numeric(20,4),
    alter column is_fraud drop not null,
    drop constraint if exists is_fraud_missing,
    drop constraint if exists processing_time_negative,
    drop constraint if exists customer_segment_too_long,
    drop constraint if exists fee_percent_out_of_range,
    add constraint processing_time_negative check (coalesce(processing_seconds, 0) >= 0),
    add constraint customer_segment_too_long check (coalesce(length(customer_segment), 0) <= 50),
    add constraint fee_percent_out_of_range check (coalesce(fee_percent, 0) between 0 and 100);
alter table raw.rejected_transactions
    add column if not exists processing_seconds numeric(20,4),
    add column if not exists customer_segment text,
    add column if not exists fee_percent numeric(20,4);
alter table live.payments alter column is_fraud drop not null;
alter table metadata.fact_changes
    add column old_processing_seconds numeric(20,4),
    add column new_processing_seconds numeric(20,4),
    add column old_given_segment text,
    add column new_given_segment text;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES)
