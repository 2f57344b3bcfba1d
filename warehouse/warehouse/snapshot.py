"""A connection for a command that asks the warehouse something: one snapshot, and errors that a person can act on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from core.errors import TieoutError
from warehouse.errors import DatabaseAwayError

_OLDER = ": its schema is older than this program"
_MEANINGS = {"53100": ": the database's disk is full", "42P01": _OLDER, "42703": _OLDER}
_NEXT = {"42P01": "./scripts/tieout migrate", "42703": "./scripts/tieout migrate"}


@contextmanager
def one_snapshot(dsn: str, left: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection whose statements all see the same moment; commit at the end.

    Args:
        dsn: of the role that asks.
        left: what is true when it fails.

    Raises:
        DatabaseAwayError: the database refuses or loses the connection.
        TieoutError: it refuses a statement. Its own words stay out, because they hold rows.
    """
    try:
        with psycopg.connect(dsn) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("set local timezone = 'UTC'")
            connection.execute("set local work_mem = '64MB'")
            yield connection
    except psycopg.Error as error:
        raise in_words(error, left) from None


def in_words(error: psycopg.Error, left: str) -> TieoutError:
    """Return a database's error as a person can act on it; its own words stay out, because they hold rows."""
    state = error.sqlstate or ""
    if isinstance(error, psycopg.OperationalError) and state[:2] in ("", "08", "57"):
        return DatabaseAwayError(error, left)
    return TieoutError(
        f"the warehouse answers with {state or type(error).__name__}{_MEANINGS.get(state, '')}.",
        left,
        _NEXT.get(state, "./scripts/tieout logs postgres, then the same command"),
    )
