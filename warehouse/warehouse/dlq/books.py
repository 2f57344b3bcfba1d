"""The connection to the books of letters, as role redrive; one redrive or write-off at a time."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from contracts.model import Entity
from core.errors import OutageError
from core.locks import AdvisoryKey, hold_advisory
from core.pooler import open_session
from core.schema_revision import require_revision
from core.settings import Settings
from warehouse.columns import book_name
from warehouse.errors import DatabaseAwayError, refused_value

Connection = psycopg.Connection[Any]
DEAD_LETTERS = "dead_letters"
LOCK_WAIT_SECONDS = 15.0
LEFT = "what was written down is finished by the next redrive, with the same bytes; nothing is sent under a second id."


@contextmanager
def open_books(settings: Settings) -> Iterator[Connection]:
    """Open the warehouse as role redrive.

    Raises:
        DatabaseAwayError: it is away, or goes away before the end.
        TieoutError: it cannot hold a value.
    """
    try:
        with open_session(settings.dsn("redrive")) as connection:
            connection.execute("set timezone = 'UTC'")
            # A killed redrive's session ends, and frees the lock, in the middle of a statement too.
            connection.execute("set client_connection_check_interval = '1s'")
            yield connection
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, LEFT, "./scripts/tieout dlq redrive") from None
    except psycopg.DataError as error:
        raise refused_value(error, LEFT) from None


@contextmanager
def only_decider(connection: Connection, wait_seconds: float = LOCK_WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock of whoever redrives or writes off.

    Raises:
        OutageError: another one holds it for longer than wait_seconds, or the schema is not this process's.
    """
    with hold_advisory(connection, AdvisoryKey.REDRIVE, wait_seconds, _busy):
        require_revision(connection)
        yield


def _busy(holder: str) -> OutageError:
    return OutageError(
        f"another redrive or write-off is running: {holder}.",
        "that one goes on undisturbed; this one has sent and written nothing.",
        "the same command again, when it has ended",
    )


def book_of(entity: Entity, *, rejected: bool) -> str:
    """Return the name of the book that an entity's dead letters, or its rejected events, are in."""
    return book_name(entity.rejected) if rejected else DEAD_LETTERS


def current_topic(connection: Connection, entity: Entity) -> str | None:
    """Return the id of the topic that an entity's table of the lake is read from; None before the first load."""
    query = "select topic_id from metadata.load_watermark where lake_table = %s"
    found = _scalar(connection, query, entity.bronze)
    return None if found is None else str(found)


def asked_by() -> str:
    """Return the account of the person who asks, also behind sudo and in the services' account."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def log_unmask(connection: Connection, command: str, book: str, selection: str, letters: int) -> None:
    """Write down that somebody sees the bytes of letters, before they do."""
    connection.execute(
        "insert into metadata.unmask_log (asked_by, command, book, selection, letters) values (%s, %s, %s, %s, %s)",
        [asked_by(), command, book, selection, letters],
    )


def _scalar(connection: Connection, query: str, *parameters: object) -> Any:
    row = connection.execute(query, list(parameters)).fetchone()
    return row[0] if row else None
