"""A database of a test's own on a running server, with the same roles."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from core.settings import Settings
from warehouse.migrate import let_reader_read_marts, migrate


class OwnDatabase(Settings):
    """Settings for a database that only the superuser may enter: each connection becomes its role at once."""

    superuser_password: str

    def dsn(self, role: str, **_: Any) -> str:
        """Return the connection string of a role; postgres stands for the superuser."""
        return make_conninfo(
            host=self.postgres_host,
            port=self.postgres_port,
            dbname=self.postgres_db,
            user="postgres",
            password=self.superuser_password,
            connect_timeout=10,
            options=f"-c role={role}",
        )

    def connect(self, role: str = "postgres") -> psycopg.Connection[Any]:
        """Open a connection of a role."""
        return psycopg.connect(self.dsn(role), autocommit=True)

    def empty(self) -> None:
        """Forget every load and build."""
        with self.connect() as connection:
            tables = connection.execute(
                "select format('%I.%I', schemaname, tablename) from pg_tables "
                "where schemaname in ('raw', 'metadata', 'live') and tablename <> 'alembic_version'"
            ).fetchall()
            connection.execute(f"truncate {', '.join(name for (name,) in tables)} restart identity cascade")


@contextmanager
def own_database(env: Mapping[str, str]) -> Iterator[OwnDatabase]:
    """Yield a new, migrated database; drop it at the end.

    Args:
        env: settings of the platform whose server it is on, with the superuser's password.
    """
    name = f"warehouse_{uuid4().hex[:12]}"
    settings = OwnDatabase(
        postgres_host=env["POSTGRES_HOST"],
        postgres_port=int(env["POSTGRES_PORT"]),
        postgres_db=name,
        superuser_password=env["POSTGRES_PASSWORD_POSTGRES"],
    )
    server = settings.model_copy(update={"postgres_db": "postgres"})
    with server.connect() as connection:
        connection.execute(sql.SQL("create database {} owner owner").format(sql.Identifier(name)))
        connection.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(name)))
    try:
        migrate(settings.dsn("owner"))
        let_reader_read_marts(settings.dsn("dbt"))
        yield settings
    finally:
        with server.connect() as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
