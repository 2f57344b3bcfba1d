"""What the proof brings forward, and the feeds of redrives, are of an entity each.

Revision ID: 0017
Revises: 0016
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# All that there was is about payments.
FORWARD = """
alter table metadata.proof_forward
    drop constraint proof_forward_pkey,
    drop column "only",
    add column entity text primary key default 'transactions';
comment on table metadata.proof_forward is
    'Sums that the last proof brings forward to the next, so that a proof costs what is new: a row an entity.';
"""

REDRIVES = """
alter table metadata.redrive_feeds add column entity text not null default 'transactions';
comment on column metadata.redrive_feeds.entity is 'The kind of event that the redrive sent: its topic is this one''s.';
"""


def upgrade() -> None:
    for statements in (FORWARD, REDRIVES):
        op.get_bind().exec_driver_sql(statements)
