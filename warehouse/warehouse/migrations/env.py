"""Alembic's environment: runs the migrations on the connection that warehouse.migrate hands over."""

from alembic import context

VERSION_TABLE_SCHEMA = "metadata"


def _run() -> None:
    context.configure(
        connection=context.config.attributes["connection"],
        version_table_schema=VERSION_TABLE_SCHEMA,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
