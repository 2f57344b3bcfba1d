"""Bring the warehouse's schema to the newest version: alembic, run from code as the role owner."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from core.errors import OutageError, TieoutError
from core.locks import AdvisoryKey, hold_advisory
from core.schema_revision import REVISION
from warehouse.errors import DatabaseAwayError

MIGRATIONS = Path(__file__).with_name("migrations")
# How long a migration waits for another one.
LOCK_WAIT_SECONDS = 600.0
# It takes the locks of loads and of the live view itself, and all that came before it did without.
HASHED_BY_INSTANT = "0018"
# Who holds one of these writes what a migration may change.
WRITERS = (AdvisoryKey.LOADER, AdvisoryKey.LIVE, AdvisoryKey.BUILD, AdvisoryKey.REDRIVE)


def migrate(dsn: str) -> None:
    """Run all migrations that the database does not have yet.

    Two at once are safe: the second waits for the first and then finds nothing to do. A migration is one transaction.

    Args:
        dsn: connection string (URL or keywords) of role owner on database payments. Roles and database exist already.

    Raises:
        TieoutError: the database is away, a migration failed (which leaves the version before it), or another one
            does not end.
    """
    try:
        with (
            psycopg.connect(dsn, autocommit=True) as guard,
            hold_advisory(guard, AdvisoryKey.MIGRATION, LOCK_WAIT_SECONDS, _busy),
        ):
            found = _revision(guard)
            if found is not None and found < HASHED_BY_INSTANT:
                with _nobody_writes(guard):
                    pass
                _upgrade(dsn, HASHED_BY_INSTANT)
            if found is None:
                _upgrade(dsn, "head")
            elif found != REVISION:
                with _nobody_writes(guard):
                    _upgrade(dsn, "head")
    except TieoutError:
        raise
    except Exception as error:
        raise _explained(error) from error


def _busy(holder: str) -> OutageError:
    return OutageError(
        f"another migration is running: {holder}.",
        "the schema has the version that it had.",
        "the same command again, when that one has ended",
    )


def _revision(guard: psycopg.Connection[Any]) -> str | None:
    """Return the schema's revision; None where there is none yet."""
    if guard.execute("select to_regclass('metadata.alembic_version')").fetchone() == (None,):
        return None
    row = guard.execute("select version_num from metadata.alembic_version").fetchone()
    return None if row is None else str(row[0])


@contextmanager
def _nobody_writes(guard: psycopg.Connection[Any]) -> Iterator[None]:
    """Hold the locks of all that write, or refuse: code of before must not work on what becomes another.

    Who takes a lock afterwards asks for the revision first, and ends where it is not its own (`core.schema_revision`).
    """
    with ExitStack() as held:
        for key in WRITERS:
            held.enter_context(hold_advisory(guard, key, 0, _works))
        yield


def _works(holder: str) -> OutageError:
    return OutageError(
        f"services of an earlier version are at work on what is to be migrated: {holder}.",
        "the schema has the version that it had.",
        "./scripts/stop.sh, then ./scripts/start.sh",
    )


def _upgrade(dsn: str, to: str) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("create schema if not exists metadata"))
        connection.commit()
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        command.upgrade(config, to)
        connection.commit()


def let_reader_read_marts(dsn: str) -> None:
    """Let reader and live view see every table that dbt will make in marts, and let dbt's statements end with dbt.

    Only dbt itself can say this of its own future tables; the owner is no member of it.

    Args:
        dsn: connection string of role dbt on database payments.
    """
    with psycopg.connect(dsn) as connection:
        connection.execute("alter default privileges in schema marts grant select on tables to reader, live")
        connection.execute("grant select on all tables in schema marts to reader, live")
        # Of a dbt that was killed in the middle of a statement nothing goes on in the database.
        connection.execute("alter role current_user set client_connection_check_interval = '2s'")


def _explained(error: Exception) -> TieoutError:
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None:
        return DatabaseAwayError(cause, "its schema has the version that it had.")
    state = getattr(cause, "sqlstate", None) or type(cause).__name__
    first_line = (str(cause).strip().splitlines() or [""])[0]
    return TieoutError(
        f"a migration failed with {state}: {first_line}",
        "the schema has the version before the failed migration.",
        "./scripts/tieout migrate, once the cause is gone",
    )
