# ruff: noqa: S608  (column names are our own)
"""The lake's side of `--full`: every offset of bronze and dead letters, read from the Parquet files themselves."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import duckdb
import psycopg
import pyarrow as pa

from contracts.model import Entity
from contracts.rules import identity_sql, status_sql, unhashed_sql
from warehouse.delta_log import newest_record
from warehouse.gaps import spans_without
from warehouse.proof.audit_gaps import read_again
from warehouse.proof.books import Sides, e2, without_event
from warehouse.proof.context import Context
from warehouse.proof.equation import DIFFERENT, Equation, Side
from warehouse.proof.lake_feeds import feeds_in_lake
from warehouse.proof.rows import rows_that_differ
from warehouse.read import LakeMismatchError, open_workspace
from warehouse.totals import currency_sql
from warehouse.watermark import loaded_ends

_RANGES = """
select o.load_id, o.topic_id, o.partition, o.start_offset, o.end_offset
from metadata.load_offsets o join metadata.load_audit a using (load_id) where a.status = 'SUCCESS' and a.entity = %s
"""
# A backfill reads offsets that another load accounts for, and gives back to that load what it lacked.
_NO_BACKFILL = "load_id not in (select load_id from metadata.backfill_days where load_id is not null)"
_BRONZE = f"""
select t.load_id, t.currency, sum(t.count)::bigint, sum(t.amount)
from metadata.load_totals t join metadata.load_audit a on a.load_id = t.load_id and a.status = 'SUCCESS'
where t.book = 'BRONZE' and a.entity = %s and t.{_NO_BACKFILL} group by 1, 2 order by 1, 2
"""
# Dead letters that retention took are counted by what it wrote down, also where their bytes are still there.
_EXPIRED = """
select topic_id, partition, min(start_offset), max(end_offset), sum(count)::bigint from metadata.retention_floor
where book = 'DEAD_LETTERS' group by 1, 2
"""
_LOST = "select topic_id, partition, sum(offsets)::bigint from metadata.lost_offsets group by 1, 2"
_TRANSACTIONS = """
select topic_id, partition, metadata.count_offsets(range_agg(markers)), metadata.count_offsets(range_agg(aborted))
from metadata.offsets_without_event group by 1, 2
"""
_COLUMNS = """
    topic_id varchar, "partition" integer, "offset" bigint, run varchar, seq bigint, in_bronze boolean,
    key varchar, status varchar, currency varchar, amount decimal(20,4), content varchar,
    unhashed varchar
"""


def prove_lake(context: Context, by_totals: list[Equation]) -> Iterable[Equation]:
    """Yield E0 to E2 from the lake's files and silver's rows, and what the books of the loads say otherwise.

    Args:
        context: whose books, and where they are.
        by_totals: the same equations as the loads' own books have them: their differences are kept.
    """
    topic_id, ends = newest_record(context.bronze)
    with open_workspace(context.layout.state / "load", context.settings.loader_memory) as workspace:
        try:
            read_lake(workspace, context)
        except (duckdb.Error, FileNotFoundError) as error:
            raise LakeMismatchError(f"the lake cannot be read: {str(error).splitlines()[0]}") from None
        by_lake = [
            *feeds_in_lake(context.connection, workspace, context.entity, topic_id, ends),
            *offsets_in_lake(context, workspace, topic_id, ends),
            *loads_in_lake(context.connection, workspace, context.entity),
            *rows_that_differ(context.connection, workspace, context.entity),
        ]
    yield from by_lake
    for equation in by_totals:
        if equation.verdict == DIFFERENT and equation not in by_lake:
            yield replace(equation, scope={**equation.scope, "from": "the loads' books"})


def read_lake(workspace: duckdb.DuckDBPyConnection, context: Context) -> None:
    """Make the table lake: one row an offset of bronze or dead letters, as the tables' newest versions have them."""
    workspace.execute(f"create table lake ({_COLUMNS})")
    entity = context.entity
    content = f"md5({identity_sql(entity)} || {status_sql(entity)})"
    sound = f"{entity.key}, status, currency, amount, {content}"
    for table, in_bronze in ((context.dead_letters, False), (context.bronze, True)):
        for source in table.portions(workspace, table.files()):
            there = set(workspace.sql(f"select * from {source} limit 0").columns)
            fields = f"{sound}, {unhashed_sql(entity, there)}" if in_bronze else "null, null, null, null, null, null"
            workspace.execute(
                f'insert into lake select topic_id, "partition", "offset", run, seq, {in_bronze}, {fields} '
                f"from {source}"
            )


def offsets_in_lake(
    context: Context, workspace: duckdb.DuckDBPyConnection, topic_id: str | None, ends: dict[int, int]
) -> Iterable[Equation]:
    """Yield E1 per partition: recorded ends of bronze = different offsets in the lake, none of them twice.

    What the lake has missed behind the loads is read again in Kafka; the load that passes it writes it down.
    """
    connection = context.connection
    expired = connection.execute(_EXPIRED).fetchall()
    for topic, partition, _, floor, _ in expired:
        workspace.execute(
            'delete from lake where not in_bronze and topic_id = ? and "partition" = ? and "offset" < ?',
            [topic, partition, floor],
        )
    first, behind = _extents(context, workspace, topic_id, ends)
    first |= {(t, p): min(low, first.get((t, p), low)) for t, p, low, _, _ in expired}
    removed = {(topic, partition): count for topic, partition, _, _, count in expired}
    lost = {(topic, partition): gone for topic, partition, gone in connection.execute(_LOST).fetchall()}
    known = {(topic, p): counts for topic, p, *counts in connection.execute(_TRANSACTIONS).fetchall()}
    ahead = _ahead_of_loads(context, workspace, topic_id, ends)
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
        pairs = known.get((topic, partition), (0, 0)), ahead.get(partition, (0, 0)) if topic == topic_id else (0, 0)
        shown = without_event(lost.get((topic, partition), 0), *map(sum, zip(*pairs, strict=True)))
        scope |= shown
        gone = sum(shown.values())
        if removed.get((topic, partition)):
            scope["EXPIRED"] = removed[topic, partition]
            gone += removed[topic, partition]
        counted = count if distinct + gone == end - begin else distinct
        yield Equation("E1", scope, None, Side(end - begin), Side(counted + gone))


def _ahead_of_loads(
    context: Context, workspace: duckdb.DuckDBPyConnection, topic_id: str | None, ends: dict[int, int]
) -> dict[int, tuple[int, int]]:
    """Return markers and aborted records by partition that the lake has passed and no load has."""
    loaded = loaded_ends(context.connection, topic_id or "")
    missing = {}
    for partition, end in ends.items():
        # A partition that no load has taken begins where the lake does.
        lowest = workspace.execute(
            'select min("offset") from lake where topic_id = ? and "partition" = ?', [topic_id, partition]
        ).fetchall()[0][0]
        begin = loaded.get(partition, end if lowest is None else lowest)
        spans = spans_without(workspace, "lake", topic_id, partition, (begin, end)) if begin < end else []
        if spans:
            missing[partition] = spans
    found = read_again(context.settings, context.entity, topic_id, missing) if missing else {}
    return {partition: each.count for partition, each in found.items()}


def _extents(
    context: Context, workspace: duckdb.DuckDBPyConnection, topic_id: str | None, ends: dict[int, int]
) -> tuple[dict[tuple[str, int], int], dict[tuple[str, int], int]]:
    """Return first offset and end by topic and partition: of the loads, and of the lake where it is ahead."""
    first: dict[tuple[str, int], int] = {}
    behind: dict[tuple[str, int], int] = {}
    for _, topic, partition, begin, end in context.connection.execute(_RANGES, [context.entity.name]).fetchall():
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
    connection: psycopg.Connection[Any], workspace: duckdb.DuckDBPyConnection, entity: Entity
) -> Iterable[Equation]:
    """Yield E2 per load and currency: the lake's events in the load's offsets = the rows of that load in silver."""
    rows = connection.execute(_RANGES, [entity.name]).fetchall()
    names = ("load_id", "topic_id", "partition", "begin", "behind")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    types = (pa.int64(), pa.string(), pa.int32(), pa.int64(), pa.int64())
    workspace.register("ranges", pa.table(columns, pa.schema(list(zip(names, types, strict=True)))))
    known = currency_sql(entity)
    sides: Sides = defaultdict(dict)
    in_lake = workspace.execute(f"""
        select r.load_id, {known} as known, count(*), case when known is not null then sum(amount) end
        from lake l join ranges r on r.topic_id = l.topic_id and r."partition" = l."partition"
            and l."offset" >= r.begin and l."offset" < r.behind
        where in_bronze group by 1, 2
    """).fetchall()
    for load_id, currency, count, amount in in_lake:
        sides[load_id, currency][True] = Side(count, amount)
    # What retention has removed begins the books: silver's older rows have no load to be judged with.
    first = min(columns["load_id"], default=0) if _is_floored(connection) else 0
    for load_id, currency, count, amount in connection.execute(_in_silver(entity, known).encode()).fetchall():
        if load_id >= first:
            sides[load_id, currency][False] = Side(count, amount)
    yield from e2(sides)
    for load_id, currency, count, amount in connection.execute(_BRONZE.encode(), [entity.name]).fetchall():
        here, said = sides[load_id, currency].get(True, Side()), Side(count, amount)
        if (here.count, here.amount or 0) != (said.count, said.amount or 0):
            yield Equation(
                "E2", {"load_id": load_id, "book": "BRONZE", "from": "the loads' books"}, currency, here, said
            )


def _is_floored(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("select exists (select from metadata.retention_floor where book = 'LOADS')").fetchone()
    return bool(row and row[0])


def _in_silver(entity: Entity, known: str) -> str:
    tables = (entity.silver, entity.duplicates, entity.rejected)
    books = " union all ".join(f"select load_id, currency, amount from {table}" for table in tables)
    return f"""
        select load_id, known, sum(count)::bigint, case when known is not null then sum(amount) end
        from (
            select load_id, {known} as known, count(*) as count, sum(amount) as amount from ({books}) b group by 1, 2
            union all
            select t.load_id, currency, count, amount
            from metadata.load_totals t join metadata.load_audit a on a.load_id = t.load_id and a.status = 'SUCCESS'
            where book = 'ALREADY_LOADED' and a.entity = '{entity.name}'
        ) s
        where {_NO_BACKFILL} group by 1, 2
    """
