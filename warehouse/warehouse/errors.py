"""The warehouse's error for a database that is away, said in one line."""

import psycopg

from core.errors import OutageError


def without_rows(error: psycopg.Error) -> list[str]:
    """Say where a database error came from. Its own text may hold a payment, so none of it is used."""
    named = (
        ("constraint", error.diag.constraint_name),
        ("table", error.diag.table_name),
        ("column", error.diag.column_name),
    )
    return [f"{kind} {name}" for kind, name in named if name]


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
