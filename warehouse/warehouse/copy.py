"""From DuckDB into PostgreSQL: Arrow batches in the database's own binary format, into COPY."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import duckdb
import psycopg
from pgpq import ArrowToPostgresBinaryEncoder
from psycopg import sql

from core import failpoints

BATCH_ROWS = 20_000


def copy_rows(
    connection: psycopg.Connection[tuple[object, ...]],
    table: str,
    columns: tuple[str, ...],
    workspace: duckdb.DuckDBPyConnection,
    query: str,
) -> int:
    """Copy a query's rows into a table; return their number.

    The query's types must be those of the table, since binary COPY converts nothing: integer for integer, 16 bytes for
    a uuid, a list for an array.

    Args:
        connection: to PostgreSQL, inside a transaction.
        table: schema and name, or the name of a temporary table.
        columns: the table's columns in the query's order.
        workspace: DuckDB.
        query: what to copy.
    """
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    rows = 0
    with (
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
        closing(_ahead(_encoded(workspace, query))) as parts,
    ):
        for count, part in parts:
            copy.write(part)
            rows += count
            if part and rows:
                failpoints.reach("load.in-copy")
    return rows


def _encoded(workspace: duckdb.DuckDBPyConnection, query: str) -> Generator[tuple[int, bytes], None, None]:
    with workspace.sql(query).to_arrow_reader(BATCH_ROWS) as reader:
        encoder = ArrowToPostgresBinaryEncoder(reader.schema)
        yield 0, encoder.write_header()
        for batch in reader:
            yield batch.num_rows, encoder.write_batch(batch)
        yield 0, encoder.finish()


def _ahead(parts: Generator[tuple[int, bytes], None, None]) -> Generator[tuple[int, bytes], None, None]:
    """Make the next part while the database takes the one before.

    When the database refuses a part, the rest is given up: a result that stays open would block the workspace.
    """
    with closing(parts), ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(next, parts, None)
        while (part := coming.result()) is not None:
            coming = pool.submit(next, parts, None)
            yield part
