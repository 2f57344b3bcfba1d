"""Which code made a model's rows, so that only models whose rows would change are computed anew; the lock is no table.

Revision ID: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

MODELS = """
drop table metadata.build_nodes;
drop table metadata.build_lock;
create table metadata.build_models (
    build_id uuid not null references metadata.builds,
    model text not null,
    hash text not null,
    computed_anew boolean not null,
    built_at timestamptz,
    primary key (build_id, model)
);
comment on table metadata.build_models is
    'Models with rows of a build: the hash of what decides their rows, and when the build had made them.';
comment on column metadata.build_models.built_at is
    'Written with the rows themselves: the newest one of a model says which code made what it holds.';
grant select on metadata.build_models to loader, dbt, reader;
grant insert, update, delete on metadata.build_models to dbt;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(MODELS)
