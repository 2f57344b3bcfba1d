"""From DuckDB into PostgreSQL: Arrow batches as CSV into COPY."""

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import sql

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
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in workspace.sql(query).to_arrow_reader(BATCH_ROWS):
            sink = pa.BufferOutputStream()
            pyarrow.csv.write_csv(batch, sink, _OPTIONS)
            copy.write(memoryview(sink.getvalue()))
            rows += batch.num_rows
    return rows
