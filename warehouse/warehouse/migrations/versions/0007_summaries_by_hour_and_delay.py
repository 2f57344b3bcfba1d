"""The change log also says a payment's hour and how long it took to settle, for the summaries that count them.

What was logged before has neither: the summaries that read them have applied nothing of it, and begin with the fact.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LOGGED = """
alter table metadata.fact_changes
    add column old_hour_of_day smallint,
    add column new_hour_of_day smallint,
    add column old_settlement_seconds bigint,
    add column new_settlement_seconds bigint;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(LOGGED)
