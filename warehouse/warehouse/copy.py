"""From DuckDB into PostgreSQL: Arrow batches as CSV into COPY."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import sql

from contracts import failpoints

BATCH_ROWS = 50_000
_OPTIONS = pyarrow.csv.WriteOptions(include_header=False)


def copy_rows(
    connection: psycopg.Connection[tuple[object, ...]],
    table: str,
    columns: tuple[str, ...],
    workspace: duckdb.DuckDBPyConnection,
    query: str,
) -> int:
    """Copy a query's rows into a table; return their number.

    Arrow writes texts in quotes and nulls as nothing, which is how COPY tells an empty text from NULL.

    Args:
        connection: to PostgreSQL, inside a transaction.
        table: schema and name, or the name of a temporary table.
        columns: the table's columns in the query's order.
        workspace: DuckDB.
        query: what to copy.
    """
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    rows = 0
    with (
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
        closing(_ahead(_csv(workspace, query))) as batches,
    ):
        for count, text in batches:
            copy.write(text)
            failpoints.reach("load.in-copy")
            rows += count
    return rows


def _csv(workspace: duckdb.DuckDBPyConnection, query: str) -> Generator[tuple[int, memoryview], None, None]:
    with workspace.sql(query).to_arrow_reader(BATCH_ROWS) as reader:
        for batch in reader:
            sink = pa.BufferOutputStream()
            pyarrow.csv.write_csv(batch, sink, _OPTIONS)
            yield batch.num_rows, memoryview(sink.getvalue())


def _ahead(batches: Generator[tuple[int, memoryview], None, None]) -> Generator[tuple[int, memoryview], None, None]:
    """Make the next batch while the database takes the one before.

    When the database refuses a batch, the rest is given up: a result that stays open would block the workspace.
    """
    with closing(batches), ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch
