"""What the warehouse says of a database's error; the errors themselves are in `core.database_errors`."""

import psycopg

from core.database_errors import DatabaseAwayError, refused_value

__all__ = ["DatabaseAwayError", "refused_value", "without_rows"]


def without_rows(error: psycopg.Error) -> list[str]:
    """Say where a database error came from. Its own text may hold a payment, so none of it is used."""
    named = (
        ("constraint", error.diag.constraint_name),
        ("table", error.diag.table_name),
        ("column", error.diag.column_name),
    )
    return [f"{kind} {name}" for kind, name in named if name]
