# ruff: noqa: S608  (names of tables and columns are our own)
"""Silver's tables for the measurements: emptied for each run, counted behind it, and their rows as files for peers."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from bench.frame import Books
from control.roles import dsn

TARGET = "bench.silver"
DUCKDB_TYPES = {
    "numeric": "decimal(20,4)",
    "uuid": "varchar",
    "text": "varchar",
    "timestamp with time zone": "timestamptz",
}


def connect(env: Mapping[str, str]) -> psycopg.Connection[Any]:
    """Return a connection as the superuser."""
    connection = psycopg.connect(dsn(env, "postgres"), autocommit=True)
    connection.execute("set timezone = 'UTC'")
    return connection


class Silver:
    """Silver of a platform.

    Args:
        env: the platform's settings.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._db = connect(env)
        self.url = dsn(env, "postgres")
        found = self._db.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('raw', 'metadata')"
        ).fetchall()
        # What is empty behind the migrations is what loads fill.
        self._filled = [
            name for (name,) in found if self._db.execute(f"select not exists (table {name})").fetchone() == (True,)
        ]
        self._db.execute("create schema bench")
        self._db.execute(f"create table {TARGET} (like raw.transactions including all)")

    def columns(self) -> dict[str, str]:
        """Return name and type of each column of raw.transactions, in order."""
        rows = self._db.execute(
            "select column_name, data_type from information_schema.columns"
            " where table_schema = 'raw' and table_name = 'transactions' order by ordinal_position"
        ).fetchall()
        return dict(rows)

    def empty(self) -> None:
        """Empty all that a load fills, and let the next run begin behind a checkpoint."""
        self._db.execute(f"truncate {', '.join(self._filled)}, {TARGET}")
        self._db.execute("drop schema if exists bench_dlt, bench_dlt_staging cascade")
        self._db.execute("checkpoint")

    def books(self, table: str) -> Books:
        """Return count and exact amount by currency of a table."""
        rows = self._db.execute(f"select currency, count(*), sum(amount) from {table} group by 1").fetchall()
        return Books(sum(count for _, count, _ in rows), {currency: Decimal(amount) for currency, _, amount in rows})

    def write_csv(self, path: Path) -> None:
        """Write raw.transactions as CSV."""
        with path.open("wb") as file, self._db.cursor().copy("copy raw.transactions to stdout (format csv)") as copy:
            for part in copy:
                file.write(part)

    def copy_csv(self, path: Path) -> None:
        """COPY the CSV into the target: what the database itself takes for these rows."""
        with path.open("rb") as file, self._db.cursor().copy(f"copy {TARGET} from stdin (format csv)") as copy:
            while part := file.read(1 << 20):
                copy.write(part)

    def close(self) -> None:
        """Hang up."""
        self._db.close()


def write_parquet(csv: Path, columns: Mapping[str, str], plain: Path, repeated: Path) -> None:
    """Write the rows as Parquet, and once more with every twentieth repeated under other coordinates."""
    types = ", ".join(f"'{name}': '{DUCKDB_TYPES.get(kind, kind)}'" for name, kind in columns.items())
    with duckdb.connect() as db:
        db.execute("set timezone = 'UTC'")
        db.execute("set enable_progress_bar = false")
        db.execute(
            f"create table rows as select * from read_csv('{csv}', header = false, columns = {{{types}}},"
            " allow_quoted_nulls = false)"
        )
        db.execute(f"copy rows to '{plain}' (format parquet)")
        again = (
            'select * replace ("offset" + 1000000000 as "offset") from rows where hash(transaction_id, status) % 20 = 0'
        )
        db.execute(f"copy (from rows union all {again} order by hash(\"offset\")) to '{repeated}' (format parquet)")
