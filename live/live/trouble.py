"""Whose fault an error is: one event's, which is then set aside, or the platform's, which ends the process."""

import traceback
from pathlib import Path

import psycopg

from core.errors import OutageError, TieoutError

# More events than this that fail in one way, with none among them that does not, are no fault of theirs.
MOST_ALIKE = 50
# What the database says of values. All else that it says is about the database, and no event's fault.
_ABOUT_VALUES = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)


def is_about_an_event(error: Exception) -> bool:
    """Say whether an error may be one event's own; an outage is not, and must not set events aside."""
    if isinstance(error, psycopg.Error):
        return isinstance(error, _ABOUT_VALUES)
    return not isinstance(error, (TieoutError, OSError, MemoryError))


def trouble_of(error: Exception) -> str:
    """Return the kind of an error; never its text, which may quote the event."""
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    return f"{type(error).__name__} {state}" if state else type(error).__name__


def all_alike(count: int, trouble: str, error: Exception | None = None) -> OutageError:
    """Return the error of a batch of which no event can be handled, without what an error quotes.

    Args:
        count: how many events.
        trouble: the kind of what each fails with.
        error: names the place in the program, where there is one.
    """
    frames = traceback.extract_tb(error.__traceback__) if error else []
    ours = [frame for frame in frames if "site-packages" not in frame.filename]
    where = f" ({Path(ours[-1].filename).name}, line {ours[-1].lineno})" if ours else ""
    return OutageError(
        f"all {count} events of a batch fail with {trouble}{where}: the fault is the program's.",
        "none of them is counted or set aside.",
        "./scripts/tieout logs live, and report the line; the service starts again by itself",
    )
