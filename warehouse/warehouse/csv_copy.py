"""The rows of a query as a CSV file for people: what PostgreSQL copies out, with no text a formula."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from core.csv_text import CsvWriter


def copy_as_csv(db: psycopg.Connection[Any], query: str, path: Path) -> None:
    """Write the rows of a query with a header; one row at a time is in memory.

    Args:
        db: open.
        query: a select without parameters.
        path: there already, or made.

    Raises:
        OSError: it cannot be written.
    """
    statement = sql.SQL("copy ({}) to stdout (format csv, header)").format(sql.SQL(query))
    with path.open("w", encoding="utf-8", newline="") as out, db.cursor().copy(statement) as blocks:
        CsvWriter(out).writerows(csv.reader(_records(blocks)))


def _records(blocks: psycopg.Copy) -> Iterator[str]:
    """Yield a record each: PostgreSQL sends one in a block, also where a text has line breaks."""
    for block in blocks:
        yield str(block, "utf-8")
