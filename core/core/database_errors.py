"""Errors of PostgreSQL, said in one line and without the rows that its own text quotes."""

import psycopg

from core.errors import OutageError, TieoutError


def refused_value(error: psycopg.DataError, left: str) -> TieoutError:
    """Return the error of a value that the warehouse cannot hold. Its own words stay out, because they hold it."""
    return TieoutError(
        f"the warehouse cannot hold one of these values ({error.sqlstate or type(error).__name__}).",
        left,
        "the same command with other values",
    )


class DatabaseAwayError(OutageError):
    """PostgreSQL refuses or loses the connection."""

    def __init__(self, error: psycopg.Error, left: str, then: str = "") -> None:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        after = f"; then {then}" if then else ""
        super().__init__(
            f"the warehouse cannot be reached: {lines[0]}",
            left,
            f"./scripts/start.sh where nothing runs; else ./scripts/tieout logs postgres{after}",
        )
