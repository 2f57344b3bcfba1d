# ruff: noqa: S608  (names, types and conditions come from the contract; values are parameters or registered tables)
"""Read a load's files of the lake with DuckDB, judge each event there, and count.

The events are a view of the files, which never change: each question reads the columns that it needs, and only what
breaks a rule is kept, on disk beyond the memory limit, so that a single huge commit is read in bounded memory too.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from contracts.model import Entity
from contracts.rules import judged_sql
from core.errors import TieoutError
from core.lake import Lake, LakeTable
from core.locks import exclusive_now
from warehouse.columns import COORDINATES, quoted
from warehouse.delta_log import Commit, Lost
from warehouse.hints import money_hints
from warehouse.plan import LoadRange

_DELIVERY = {
    "utc_offset_minutes": "smallint",
    "unknown_fields": "integer",
    "contract_version": "varchar",
    "run": "varchar",
    "seq": "bigint",
    "redrive_of": "varchar",
    "status_at": "timestamptz",
    "arrived_at": "timestamptz",
    "topic_id": "varchar",
    "partition": "integer",
    "offset": "bigint",
}


class LakeMismatchError(TieoutError):
    """The lake does not hold what its own log says, or cannot be read."""

    def __init__(self, what: str) -> None:
        super().__init__(
            what,
            "silver and the watermark are as the last load left them.",
            "./scripts/tieout proof --full, which counts the lake itself",
        )


@dataclass(frozen=True)
class Found:
    """What a load's files hold."""

    rows_expected: int
    rows: int
    dead_letters_expected: int
    dead_letters: int


@contextmanager
def open_workspace(spill: Path, memory: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB of this process alone; what it spills is private and gone afterwards.

    Args:
        spill: folder for spilled data.
        memory: limit such as 1GB.
    """
    spill.mkdir(parents=True, exist_ok=True)
    with _private_folder(spill) as private, duckdb.connect() as workspace:
        workspace.execute("set timezone = 'UTC'")
        workspace.execute("set threads = 2")
        workspace.execute("set enable_progress_bar = false")  # it goes to standard output, between the JSON
        workspace.execute("set preserve_insertion_order = false")
        workspace.execute("set parquet_metadata_cache = true")  # each question opens every file of a load again
        workspace.execute("set autoinstall_known_extensions = false")
        workspace.execute(f"set memory_limit = '{memory}'")
        workspace.execute(f"set temp_directory = '{private}'")
        yield workspace


@contextmanager
def _private_folder(spill: Path) -> Iterator[str]:
    """Make a folder for this process alone; first remove those of processes that were killed."""
    for other in spill.glob("load-*"):
        with suppress(OSError), exclusive_now(other):
            shutil.rmtree(other, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=spill, prefix="load-") as private, exclusive_now(Path(private)):
        yield private


def read_load(workspace: duckdb.DuckDBPyConnection, lake: Lake, load: LoadRange, entity: Entity) -> Found:
    """Make the view events and the table dead of the workspace, and hold them against what the log says.

    Args:
        workspace: from open_workspace.
        lake: where the files are.
        load: what to read.
        entity: whose events they are.

    Raises:
        LakeMismatchError: a file is missing, or the rows are not those that log and offsets promise.
    """
    try:
        rows = _read_events(workspace, lake.table(entity.bronze), load, entity)
        dead_letters = _read_dead_letters(workspace, lake.table(entity.dead_letters), load, entity)
        dead_letters_expected = _check_offsets(workspace, load)
    except (duckdb.Error, FileNotFoundError) as error:
        raise LakeMismatchError(f"the lake cannot be read: {str(error).splitlines()[0]}") from None
    return Found(load.rows, rows, dead_letters_expected, dead_letters)


def _parquet(workspace: duckdb.DuckDBPyConnection, table: LakeTable, commits: tuple[Commit, ...]) -> str | None:
    """Return the FROM clause of the commits' files; None where there is no file."""
    return table.parquet(workspace, [file.path for commit in commits for file in commit.files])


def _promised(commits: tuple[Commit, ...], what: str) -> int:
    """Return the rows that the log promises; the stream's own count and Delta's must agree."""
    promised = sum(commit.rows for commit in commits)
    counted = [file.rows for commit in commits for file in commit.files]
    if None not in counted and sum(rows or 0 for rows in counted) != promised:
        stated = sum(rows or 0 for rows in counted)
        raise LakeMismatchError(
            f"versions {commits[0].version} to {commits[-1].version} of {what} say {promised} rows, "
            f"and the statistics of their files {stated}."
        )
    return promised


def _read_events(workspace: duckdb.DuckDBPyConnection, bronze: LakeTable, load: LoadRange, entity: Entity) -> int:
    source = _parquet(workspace, bronze, load.bronze)
    view_events(workspace, entity, source)
    return _count_read(workspace, "events", load.bronze, "bronze") if source else 0


def view_events(workspace: duckdb.DuckDBPyConnection, entity: Entity, source: str | None, where: str = "true") -> None:
    """Make the views delivered, each event as it came, and events, with its hashes and the rules that it breaks.

    Args:
        workspace: from open_workspace.
        entity: the fields and rules.
        source: FROM clause with bronze's columns; None: there are no events.
        where: which rows of it.
    """
    fields = {field.stored_as: _duckdb_type(field.spark_type) for field in entity.fields}
    columns = {**fields, **_DELIVERY}
    if source is None:
        nothing = ", ".join(f'null as "{name}"' for name in columns)
        source, where = f"(select {nothing})", "false"
    # Files from before a contract's field have no column of it.
    there = set(workspace.sql(f"select * from {source} limit 0").columns)
    later = {"contract_version", *(field.stored_as for field in entity.optional_fields)} - there
    typed = ", ".join(
        f'cast({"null" if name in later else quoted((name,))} as {kind}) as "{name}"' for name, kind in columns.items()
    )
    workspace.execute(
        f"create or replace temporary view delivered as select * from (select {typed} from {source}) where {where}"
    )
    workspace.execute(f"create or replace temporary view events as {judged_sql(entity)}")


def find_broken(workspace: duckdb.DuckDBPyConnection) -> None:
    """Make the table broken: the events that break a rule."""
    workspace.execute("create temporary table if not exists broken as select * from events where reasons <> ''")


def _duckdb_type(spark_type: str) -> str:
    return {"STRING": "varchar", "TIMESTAMP": "timestamptz"}.get(spark_type, spark_type.lower())


def _count_read(workspace: duckdb.DuckDBPyConnection, table: str, commits: tuple[Commit, ...], what: str) -> int:
    read = int(_scalar(workspace, f"select count(*) from {table}"))
    promised = _promised(commits, what)
    if read != promised:
        raise LakeMismatchError(
            f"versions {commits[0].version} to {commits[-1].version} of {what} hold {read} rows, "
            f"and the log says {promised}."
        )
    return read


def _scalar(workspace: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(workspace.execute(query).fetchall()[0][0])  # all of it: an open result blocks the connection


def _read_dead_letters(workspace: duckdb.DuckDBPyConnection, table: LakeTable, load: LoadRange, entity: Entity) -> int:
    """Fill the table dead with the dead letters between the last load's ends and this one's; return their number."""
    source = _parquet(workspace, table, load.dead_letters)
    if source is not None:
        counted = _scalar(workspace, f"select count(*) from {source}")
        promised = _promised(load.dead_letters, "the dead letters")
        if counted != promised:
            raise LakeMismatchError(f"the dead letters hold {counted} rows, and their log says {promised}.")
    spans = {p: (load.loaded.get(p, 0), behind) for p, behind in load.end.items()}
    return take_dead_letters(workspace, entity, source, load.topic_id, spans)


def take_dead_letters(
    workspace: duckdb.DuckDBPyConnection,
    entity: Entity,
    source: str | None,
    topic_id: str | None,
    spans: Mapping[int, tuple[int, int]],
) -> int:
    """Make the table dead of the dead letters of some offsets; return their number.

    Args:
        workspace: from open_workspace.
        entity: money and its currencies.
        source: FROM clause with the columns of the lake's dead letters; None: there are none.
        topic_id: the topic.
        spans: first offset and the one behind the last, by partition.
    """
    workspace.execute("""
        create table dead (topic_id varchar, "partition" integer, "offset" bigint, reasons varchar[],
            arrived_at timestamptz, value_bytes bigint, amount_hint decimal(20,4), currency_hint varchar, run varchar,
            seq bigint, redrive_of varchar)
    """)
    if source is None:
        return 0
    _register_bounds(workspace, spans)
    amount_hint, currency_hint = money_hints(entity)
    workspace.execute(
        f"""
        insert into dead
        select topic_id, p."partition", p."offset", reasons,
            cast(arrived_at as timestamptz), octet_length(raw_value), {amount_hint}, {currency_hint},
            run, seq, redrive_of
        from {source} p join bounds b on b."partition" = p."partition"
        where topic_id = ? and p."offset" >= b.loaded and p."offset" < b.behind
        """,
        [topic_id],
    )
    return _scalar(workspace, "select count(*) from dead")


def _register_bounds(workspace: duckdb.DuckDBPyConnection, spans: Mapping[int, tuple[int, int]]) -> None:
    partitions = sorted(spans)
    bounds = {
        "partition": pa.array(partitions, pa.int32()),
        "loaded": pa.array([spans[p][0] for p in partitions], pa.int64()),
        "behind": pa.array([spans[p][1] for p in partitions], pa.int64()),
    }
    workspace.register("bounds", pa.table(bounds))


def dead_letters_among(workspace: duckdb.DuckDBPyConnection, load: LoadRange, lost: Lost) -> int:
    """Return how many of the offsets of a loss are dead letters after all.

    They were committed before the stream was killed, and bronze, which comes second, was not: so the operator was told
    that bronze lacks them.
    """
    found = workspace.execute(
        'select count(*) from dead where topic_id = ? and "partition" = ? and "offset" >= ? and "offset" < ?',
        [load.topic_id, lost.partition, lost.begin, lost.behind],
    ).fetchall()
    return int(found[0][0])


def _check_offsets(workspace: duckdb.DuckDBPyConnection, load: LoadRange) -> int:
    """Hold rows against offsets, partition by partition; return how many dead letters the offsets promise."""
    rows = workspace.execute(
        f"""
        select "partition", count(*) filter (bronze), count(*) filter (not bronze), count(distinct "offset"),
            min("offset"), max("offset")
        from (select {quoted(COORDINATES)}, true as bronze from events
            union all select {quoted(COORDINATES)}, false from dead)
        where topic_id = ? group by "partition"
        """,
        [load.topic_id],
    ).fetchall()
    counts = {partition: rest for partition, *rest in rows}
    promised = 0
    for partition in sorted({*counts, *load.expected}):
        bronze, dead, distinct, lowest, highest = counts.get(partition, (0, 0, 0, -1, -1))
        known = sum(dead_letters_among(workspace, load, lost) for lost in load.lost if lost.partition == partition)
        expected = load.expected.get(partition, 0) + known
        inside = not distinct or (load.start[partition] <= lowest and highest < load.end[partition])
        if distinct != bronze + dead or not inside or distinct != expected:
            raise LakeMismatchError(
                f"partition {partition}: {expected} offsets to {load.end.get(partition)} are to be loaded, "
                f"and the lake holds {bronze} events and {dead} dead letters for them, "
                f"{distinct} different offsets in all."
            )
        promised += expected - bronze
    return promised
