"""Whose fault an error is: one event's, which is then set aside, or the platform's, which ends the process."""

import duckdb
import psycopg

from core.errors import TieoutError

# What the database says of values. All else that it says is about the database, and no event's fault.
_ABOUT_VALUES = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)


def is_about_an_event(error: Exception) -> bool:
    """Say whether an error may be one event's own; an outage is not, and must not set events aside."""
    if isinstance(error, psycopg.Error):
        return isinstance(error, _ABOUT_VALUES)
    return not isinstance(error, (TieoutError, OSError, MemoryError, duckdb.OperationalError))


def trouble_of(error: Exception) -> str:
    """Return the kind of an error; never its text, which may quote the event."""
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    return f"{type(error).__name__} {state}" if state else type(error).__name__
