# ruff: noqa: S608  (column names are our own and the contract's)
"""Row by row: each event of the lake against the row of silver that has its offset."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from contracts.model import Entity
from contracts.rules import identity_sql, status_sql, unhashed_sql
from warehouse.proof.equation import Equation, Side

NAMED = 5

_COORDINATES = 'load_id, topic_id, "partition", "offset"'


def read_silver(
    connection: psycopg.Connection[Any], workspace: duckdb.DuckDBPyConnection, entity: Entity, load_id: int | None
) -> None:
    """Make the table silver: one row an offset, with a hash over its fields as they stand there now.

    Args:
        connection: in the proof's snapshot.
        workspace: DuckDB.
        entity: the fields.
        load_id: only this load's; None for all.
    """
    content = f"md5({identity_sql(entity)} || {status_sql(entity)})"
    which = "" if load_id is None else f" where load_id = {int(load_id)}"
    parts = [
        f"select '{table.removeprefix('raw.')}' as book, {_COORDINATES}, {entity.key}, status, currency, amount, "
        f"{hashed} as content, {unhashed} as unhashed from {table}{which}"
        for table, hashed, unhashed in (
            (entity.silver, content, unhashed_sql(entity)),
            (entity.duplicates, "replace(content_hash::text, '-', '')", "null"),
            (entity.rejected, content, unhashed_sql(entity)),
        )
    ]
    workspace.execute(
        'create or replace table silver (book varchar, load_id bigint, topic_id varchar, "partition" integer, '
        '"offset" bigint, key varchar, status varchar, currency varchar, amount decimal(20,4), '
        "content varchar, unhashed varchar)"
    )
    spill = workspace.execute("select current_setting('temp_directory')").fetchall()[0][0]
    with tempfile.TemporaryDirectory(dir=spill if Path(spill).is_dir() else None) as folder:
        file = Path(folder) / "silver.csv"
        with file.open("wb") as out, connection.cursor() as cursor:
            statement = f"copy ({' union all '.join(parts)}) to stdout (format csv, force_quote *)"
            with cursor.copy(statement.encode()) as copy:
                for block in copy:
                    out.write(block)
        if file.stat().st_size:  # an empty file has no columns to read
            workspace.execute(
                f"insert into silver select * from read_csv('{file}', header = false, all_varchar = true, "
                "quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false)"
            )


def make_differences(workspace: duckdb.DuckDBPyConnection) -> None:
    """Make the table differences: offsets whose event and row are not equal, or that only one side has.

    Judged are the offsets of the table judged (topic_id, partition, begin, behind, load_id).
    """
    workspace.execute("""
        create or replace table differences as
        with events as (
            select distinct on (l.topic_id, l."partition", l."offset") l.*, j.load_id
            from lake l join judged j on j.topic_id = l.topic_id and j."partition" = l."partition"
                and l."offset" >= j.begin and l."offset" < j.behind
            where in_bronze order by l.topic_id, l."partition", l."offset", j.load_id
        )
        select coalesce(s.load_id, e.load_id) as load_id, coalesce(e.topic_id, s.topic_id) as topic_id,
            coalesce(e."partition", s."partition") as "partition", coalesce(e."offset", s."offset") as "offset",
            e.key as lake_id, e.status as lake_status, e.currency as lake_currency, e.amount as lake_amount,
            s.key as silver_id, s.status as silver_status, s.currency as silver_currency,
            s.amount as silver_amount, s.book
        from events e full outer join silver s
            on s.topic_id = e.topic_id and s."partition" = e."partition" and s."offset" = e."offset"
        where e.topic_id is null or s.topic_id is null
            or (e.key, e.status, e.currency, e.amount, e.content) is distinct from
                (s.key, s.status, s.currency, s.amount, s.content)
            -- Duplicates keep the hash alone.
            or (s.unhashed is not null and e.unhashed is distinct from s.unhashed)
    """)


def rows_that_differ(
    connection: psycopg.Connection[Any], workspace: duckdb.DuckDBPyConnection, entity: Entity
) -> Iterable[Equation]:
    """Yield E2 for the rows of all loads: one line when all are equal, a line a load and partition where some are not.

    The table ranges (load_id, topic_id, partition, begin, behind) must be there.
    """
    read_silver(connection, workspace, entity, None)
    workspace.execute("create or replace table judged as select * from ranges")
    make_differences(workspace)
    first = _number(workspace, "select coalesce(min(load_id), 0) from judged")
    workspace.execute("delete from differences where load_id < ?", [first])
    rows = _number(workspace, "select count(*) from silver where load_id >= ?", [first])
    wrong = workspace.execute(f"""
        select load_id, "partition", list("offset" order by "offset")[1:{NAMED}], count(*)
        from differences group by 1, 2 order by 1, 2
    """).fetchall()
    for load_id, partition, offsets, count in wrong:
        named = ", ".join(str(offset) for offset in offsets) + (" ..." if count > NAMED else "")
        scope = {"load_id": load_id, "partition": partition, "rows_that_differ_at": named}
        yield Equation("E2", scope, None, Side(count), Side(0))
    if not wrong and rows:
        yield Equation("E2", {"rows": "field by field"}, None, Side(rows), Side(rows))


def _number(workspace: duckdb.DuckDBPyConnection, query: str, values: list[object] | None = None) -> int:
    return int(workspace.execute(query, values or []).fetchall()[0][0])
