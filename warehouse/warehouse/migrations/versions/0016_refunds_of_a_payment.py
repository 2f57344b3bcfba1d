"""A payment's refunds are found by the payment.

Revision ID: 0016
Revises: 0015
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql("create index refunds_transaction_id on raw.refunds (transaction_id)")
