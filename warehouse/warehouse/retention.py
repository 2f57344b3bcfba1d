"""What is old enough goes: the database's own functions decide and write down what went (metadata.retention_floor)."""

from datetime import datetime

import psycopg

from core.niceness import pass_on
from core.settings import Settings
from warehouse.errors import DatabaseAwayError

BOOKS = {
    "dead_letters": "select metadata.expire_dead_letters(%s)",
    "loads": "select metadata.expire_loads(%s)",
    "proof_rows": "select metadata.expire_proofs(%s)",
}


def expire(settings: Settings, before: dict[str, datetime]) -> dict[str, int]:
    """Remove what is older, each book in one transaction with the note of it; return how much went, by book.

    Args:
        settings: the warehouse's.
        before: the moment by book, of BOOKS; books that are not named stay whole.

    Raises:
        DatabaseAwayError: the database is, or goes, away.
    """
    try:
        with psycopg.connect(settings.dsn("loader"), autocommit=True) as connection:
            pass_on(connection)
            rows = {
                book: connection.execute(BOOKS[book].encode(), [moment]).fetchone() for book, moment in before.items()
            }
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, "what was removed is written down; the rest is as it was.") from None
    return {book: int(row[0]) if row else 0 for book, row in rows.items()}
