"""Live view and redrive may ask which revision the schema has, as loader and dbt may already.

Revision ID: 0019
Revises: 0018
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("grant select on metadata.alembic_version to live, redrive")
