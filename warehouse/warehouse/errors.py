"""The warehouse's error for a database that is away, said in one line."""

import psycopg

from contracts.errors import OutageError


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
