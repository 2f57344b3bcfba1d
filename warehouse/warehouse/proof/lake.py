# ruff: noqa: S608  (column names are our own)
"""E1 and E2 of `--full`: the lake's own Parquet files against what the loads say and what stands in silver."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import duckdb
import psycopg
import pyarrow as pa

from contracts.layout import Layout
from contracts.model import Contract
from warehouse.delta_log import exists
from warehouse.proof.books import e2
from warehouse.proof.equation import Equation, Side
from warehouse.totals import currency_sql

_RANGES = """
select o.load_id, o.topic_id, o.partition, o.start_offset, o.end_offset
from metadata.load_offsets o join metadata.load_audit a using (load_id) where a.status = 'SUCCESS'
"""
_LOST = "select topic_id, partition, sum(offsets)::bigint from metadata.lost_offsets group by 1, 2"
_BOOKS = ("transactions", "duplicates", "rejected_transactions")


def read_lake(workspace: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    """Make the table lake: one row an offset of bronze or dead letters, as the tables' newest versions have them."""
    columns = 'topic_id, "partition", "offset"'
    parts = []
    for table, money in ((layout.bronze, "currency, amount"), (layout.dead_letters, "null, null")):
        files = _files(table)
        if files:
            listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
            source = f"read_parquet([{listed}], hive_partitioning = false, union_by_name = true)"
            parts.append(f"select {columns}, {money}, {table == layout.bronze} from {source}")
    nothing = (
        "select null::varchar, null::integer, null::bigint, null::varchar, null::decimal(20,4), null::boolean limit 0"
    )
    union = " union all ".join(parts) or nothing
    workspace.execute(
        'create table lake (topic_id varchar, "partition" integer, "offset" bigint, currency varchar, '
        "amount decimal(20,4), in_bronze boolean)"
    )
    workspace.execute(f"insert into lake {union}")


def _files(table: Any) -> list[str]:
    if not exists(table):
        return []
    from deltalake import DeltaTable  # noqa: PLC0415  (heavy, and only --full needs it)

    return [uri.removeprefix("file://") for uri in DeltaTable(str(table)).file_uris()]


def offsets_in_lake(
    connection: psycopg.Connection[Any],
    workspace: duckdb.DuckDBPyConnection,
    topic_id: str | None,
    ends: dict[int, int],
) -> Iterable[Equation]:
    """Yield E1 per partition: recorded ends of bronze = different offsets in the lake, none of them twice."""
    first, behind = _extents(connection, workspace, topic_id, ends)
    lost = {(topic, partition): gone for topic, partition, gone in connection.execute(_LOST).fetchall()}
    for (topic, partition), end in sorted(behind.items()):
        begin = first.get((topic, partition), 0)
        count, distinct = workspace.execute(
            'select count(*), count(distinct "offset") from lake '
            'where topic_id = ? and "partition" = ? and "offset" < ?',
            [topic, partition, end],
        ).fetchall()[0]
        scope = {"topic_id": topic, "partition": partition, "offsets": [begin, end], "from": "lake"}
        if count != distinct:
            scope["repeated"] = count - distinct
        gone = lost.get((topic, partition), 0)
        if gone:
            scope["LOST"] = gone
        counted = count if distinct + gone == end - begin else distinct
        yield Equation("E1", scope, None, Side(end - begin), Side(counted + gone))


def _extents(
    connection: psycopg.Connection[Any],
    workspace: duckdb.DuckDBPyConnection,
    topic_id: str | None,
    ends: dict[int, int],
) -> tuple[dict[tuple[str, int], int], dict[tuple[str, int], int]]:
    """Return first offset and end by topic and partition: of the loads, and of the lake where it is ahead."""
    first: dict[tuple[str, int], int] = {}
    behind: dict[tuple[str, int], int] = {}
    for _, topic, partition, begin, end in connection.execute(_RANGES).fetchall():
        key = (topic, partition)
        first[key] = min(begin, first.get(key, begin))
        behind[key] = max(end, behind.get(key, end))
    rows = workspace.execute('select "partition", min("offset") from lake where topic_id = ? group by 1', [topic_id])
    lowest = dict(rows.fetchall())
    for partition, end in ends.items():
        key = (topic_id or "", partition)
        begin = lowest.get(partition, end)
        first[key] = min(begin, first.get(key, begin))
        behind[key] = max(end, behind.get(key, end))
    return first, behind


def loads_in_lake(
    connection: psycopg.Connection[Any], workspace: duckdb.DuckDBPyConnection, contract: Contract
) -> Iterable[Equation]:
    """Yield E2 per load and currency: the lake's events in the load's offsets = the rows of that load in silver."""
    rows = connection.execute(_RANGES).fetchall()
    names = ("load_id", "topic_id", "partition", "begin", "behind")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    types = (pa.int64(), pa.string(), pa.int32(), pa.int64(), pa.int64())
    workspace.register("ranges", pa.table(columns, pa.schema(list(zip(names, types, strict=True)))))
    known = currency_sql(contract)
    sides: dict[tuple[int, str | None], dict[bool, Side]] = defaultdict(dict)
    in_lake = workspace.execute(f"""
        select r.load_id, {known} as known, count(*), case when known is not null then sum(amount) end
        from lake l join ranges r on r.topic_id = l.topic_id and r."partition" = l."partition"
            and l."offset" >= r.begin and l."offset" < r.behind
        where in_bronze group by 1, 2
    """).fetchall()
    for load_id, currency, count, amount in in_lake:
        sides[load_id, currency][True] = Side(count, amount)
    for load_id, currency, count, amount in connection.execute(_in_silver(known)).fetchall():
        sides[load_id, currency][False] = Side(count, amount)
    yield from e2(sides)


def _in_silver(known: str) -> str:
    books = " union all ".join(f"select load_id, currency, amount from raw.{table}" for table in _BOOKS)
    return f"""
        select load_id, known, sum(count)::bigint, case when known is not null then sum(amount) end
        from (
            select load_id, {known} as known, count(*) as count, sum(amount) as amount from ({books}) b group by 1, 2
            union all
            select t.load_id, currency, count, amount
            from metadata.load_totals t join metadata.load_audit a on a.load_id = t.load_id and a.status = 'SUCCESS'
            where book = 'ALREADY_LOADED'
        ) s group by 1, 2
    """
