# ruff: noqa: S608  (table and column names are our own)
"""Silver made again from the lake: load by load as it was loaded, in one transaction, and proven equal to the books.

What the lake does not have stays as it is: control totals, feeds, decisions about dead letters, and the books of loads.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import psycopg

from contracts.entities import load_entities, load_entity
from contracts.model import Entity
from core import failpoints
from core.errors import TieoutError
from core.lake import Lake, LiveFile
from core.layout import Layout
from core.settings import Settings
from warehouse import audit, totals
from warehouse.columns import book_name
from warehouse.dead_letters import load_dead_letters
from warehouse.errors import DatabaseAwayError, without_rows
from warehouse.fresh import load_events
from warehouse.read import open_workspace, take_dead_letters, view_events

Connection = psycopg.Connection[Any]
Spans = Mapping[int, tuple[int, int]]

AS_IT_WAS = "silver is as it was: everything was rolled back."
_TEMPORARY = "stage, verdicts, stage_dead, new_sums"

_LOADS = """
select a.entity, o.load_id, o.topic_id, jsonb_object_agg(o.partition, jsonb_build_array(o.start_offset, o.end_offset))
from metadata.load_offsets o join metadata.load_audit a using (load_id) where a.status = 'SUCCESS'
group by 1, 2, 3 order by 2
"""
_BOOKS = "select book, partition, currency, count, amount from metadata.load_totals where load_id = %s"
_EXPIRED = "select distinct entity from metadata.retention_floor where book = 'DEAD_LETTERS'"


@dataclass(frozen=True)
class _Load:
    """A load whose rows are made again.

    Attributes:
        spans: first offset and the one behind the last, by partition of the topic.
        reread: some of the offsets are those of an earlier load too.
    """

    entity: Entity
    load_id: int
    topic_id: str
    spans: Spans
    reread: bool


def rebuild_silver(settings: Settings, layout: Layout, say: Callable[[str], None]) -> dict[str, Any]:
    """Make silver again from the lake, under the lock of loads. Hold the one of builds around it.

    Readers see the old silver until the end. Rows of loads whose books have expired are kept: nothing says any more
    which load they are of.

    Args:
        settings: the warehouse's.
        layout: where the lake is.
        say: told one line a load.

    Returns:
        what `tieout rebuild silver --json` prints: loads, rows and amounts by book and currency, feeds, kept rows.

    Raises:
        OutageError: a load runs, or the database is away.
        TieoutError: the lake no longer gives what the books of a load say. Silver is as it was.
    """
    with _connected(settings) as connection, audit.only_loader(connection, 0), connection.transaction():
        loads = _read_loads(connection)
        kept = _clear(connection, loads)
        work = _Rebuild(connection, Lake.of(settings, layout), settings, layout)
        for load in loads:
            say(f"load {load.load_id}: {work.rebuild(load):,} events")
        result = {"loads": len(loads), "feeds": len(work.feeds), **_sums(connection, loads), "kept": kept}
        failpoints.reach("rebuild.before-commit")
    return result


@contextmanager
def _connected(settings: Settings) -> Iterator[Connection]:
    """Connect as the schemas' owner: the loader may neither change nor remove a row."""
    try:
        with psycopg.connect(settings.dsn("owner"), autocommit=True) as connection:
            connection.execute("set client_connection_check_interval = '1s'")
            connection.execute("set idle_in_transaction_session_timeout = 0")
            connection.execute("set timezone = 'UTC'")
            yield connection
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, AS_IT_WAS, "./scripts/tieout rebuild silver") from None
    except (psycopg.Error, duckdb.Error, OSError) as error:
        where = without_rows(error) if isinstance(error, psycopg.Error) else ["while the lake's files were read"]
        code = error.sqlstate if isinstance(error, psycopg.Error) else None
        raise TieoutError(
            f"silver could not be made again: {', '.join([code or type(error).__name__, *where])}.",
            AS_IT_WAS,
            "mend the cause, then ./scripts/tieout rebuild silver",
        ) from None


def _read_loads(connection: Connection) -> list[_Load]:
    loads, ends = list[_Load](), dict[tuple[str, int], int]()
    for entity, load_id, topic_id, by_partition in connection.execute(_LOADS).fetchall():
        spans = {int(partition): (begin, end) for partition, (begin, end) in by_partition.items()}
        reread = any(begin < ends.get((topic_id, p), 0) for p, (begin, _) in spans.items())
        loads.append(_Load(load_entity(entity), load_id, topic_id, spans, reread))
        ends |= {(topic_id, p): max(end, ends.get((topic_id, p), 0)) for p, (_, end) in spans.items()}
    if not loads:
        raise TieoutError(
            "no load has read the lake, or its books are lost: nothing says which rows silver had.",
            "nothing was changed.",
            "./scripts/tieout load reads the lake into an empty warehouse; "
            "./scripts/tieout restore brings a backup back",
        )
    return loads


def _silver(entity: Entity) -> tuple[str, str, str]:
    """Return an entity's tables, in the order of `metadata.load_totals.book`: NEW, DUPLICATE, REJECTED."""
    return entity.silver, entity.duplicates, entity.rejected


def _clear(connection: Connection, loads: Sequence[_Load]) -> dict[str, int]:
    """Delete the rows of each entity's loads from its first on; return how many older ones are kept, by table."""
    kept = {}
    for entity in _loaded(loads):
        first = next(load.load_id for load in loads if load.entity == entity)
        for table in _silver(entity):
            connection.execute(f"delete from {table} where load_id >= %s", [first])
            row = connection.execute(f"select count(*) from {table}").fetchone()
            kept[book_name(table)] = int(row[0]) if row else 0
    return kept


def _loaded(loads: Sequence[_Load]) -> list[Entity]:
    """Return the entities that have loads; of the others nothing is changed."""
    return [entity for entity in load_entities() if any(load.entity == entity for load in loads)]


class _Rebuild:
    """Makes one load's rows after the other, inside one transaction.

    Attributes:
        feeds: the feeds that were compared.
    """

    def __init__(self, connection: Connection, lake: Lake, settings: Settings, layout: Layout) -> None:
        self._connection, self._settings, self._spill = connection, settings, layout.state / "load"
        self._lake, self._files = lake, dict[str, list[LiveFile]]()
        self._expired = {entity for (entity,) in connection.execute(_EXPIRED).fetchall()}
        self.feeds: set[str] = set()

    def rebuild(self, load: _Load) -> int:
        """Make a load's rows, and hold them against the lake and the load's books; return how many events it has."""
        connection, entity = self._connection, load.entity
        with open_workspace(self._spill, self._settings.loader_memory) as workspace:
            where = f"topic_id = '{load.topic_id}' and {_between(load.spans)}"
            view_events(workspace, entity, self._source(workspace, entity.bronze, load), where)
            dead = self._source(workspace, entity.dead_letters, load)
            take_dead_letters(workspace, entity, dead, load.topic_id, load.spans)
            bronze = totals.count_bronze(workspace, entity)
            path, _ = load_events(connection, workspace, entity, load.load_id, reread=load.reread)
            totals.sum_new(connection, load.load_id, entity)
            self._replace_dead_letters(workspace, load.load_id)
            books = totals.count_books(connection, load.load_id, entity, staged=path == "STAGE")
            self._require_books(load, {"BRONZE": bronze, **books})
            self._require_feeds(workspace, load, staged=path == "STAGE")
        connection.execute(f"drop table if exists {_TEMPORARY}")
        return sum(count for count, _ in bronze.values())

    def _source(self, workspace: duckdb.DuckDBPyConnection, name: str, load: _Load) -> str | None:
        table = self._lake.table(name)
        if name not in self._files:
            self._files[name] = table.files()
        return table.parquet(workspace, [file.path for file in self._files[name] if _may_have(file, load.spans)])

    def _replace_dead_letters(self, workspace: duckdb.DuckDBPyConnection, load_id: int) -> None:
        """Put the dead letters that the lake has in the place of the load's; those that have expired there stay."""
        found = workspace.execute('select topic_id, "partition", "offset" from dead').fetchall()
        columns = [list(column) for column in zip(*found, strict=True)] or [[], [], []]
        self._connection.execute(
            """
            delete from raw.dead_letters d
            using unnest(%s::text[], %s::integer[], %s::bigint[]) as f (topic_id, partition, "offset")
            where d.load_id = %s and (d.topic_id, d.partition, d."offset") = (f.topic_id, f.partition, f."offset")
            """,
            [*columns, load_id],
        )
        load_dead_letters(self._connection, workspace, load_id)

    def _require_books(self, load: _Load, made: dict[str, totals.Totals]) -> None:
        known: dict[str, totals.Totals] = {book: {} for book in made}
        for book, partition, currency, count, amount in self._connection.execute(_BOOKS, [load.load_id]).fetchall():
            known.setdefault(book, {})[partition, currency] = (count, amount)
        for book, by_key in known.items():
            if book == "DEAD_LETTER" and load.entity.name in self._expired:
                continue
            for key in sorted({*by_key, *made.get(book, {})}, key=str):
                said, found = by_key.get(key, (0, None)), made.get(book, {}).get(key, (0, None))
                if (said[0], said[1] or 0) != (found[0], found[1] or 0):
                    raise _differs(load.load_id, f"{book}, partition {key[0]}, currency {key[1]}", said, found)

    def _require_feeds(self, workspace: duckdb.DuckDBPyConnection, load: _Load, *, staged: bool) -> None:
        """Hold the lake's events by feed and currency against the rows that were made of them."""
        known = totals.currency_sql(load.entity)
        select = f"select run, {known} as known, count(*) as count, sum(case when {known} is not null then amount end)"
        there = workspace.execute(f"{select} from events group by 1, 2").fetchall()
        columns = "run, currency, amount"
        parts = [f"select {columns} from {table} where load_id = {int(load.load_id)}" for table in _silver(load.entity)]
        if staged:
            verdict = "join verdicts v on v.place = s.ctid where v.verdict = 'ALREADY_LOADED'"
            parts.append(f"select {columns} from stage s {verdict}")
        here = self._connection.execute(f"{select} from ({' union all '.join(parts)}) silver group by 1, 2").fetchall()
        lake, silver = ({(run, key): (n, amount or 0) for run, key, n, amount in side} for side in (there, here))
        for run, key in sorted({*lake, *silver}, key=str):
            said, found = lake.get((run, key), (0, None)), silver.get((run, key), (0, None))
            if said != found:
                raise _differs(load.load_id, f"feed {run}, currency {key}", said, found)
        self.feeds |= {str(run) for run, _ in lake if run is not None}


def _between(spans: Spans) -> str:
    parts = [f'("partition" = {p} and "offset" >= {begin} and "offset" < {end})' for p, (begin, end) in spans.items()]
    return f"({' or '.join(parts) or 'false'})"


def _may_have(file: LiveFile, spans: Spans) -> bool:
    """Say whether a file may hold offsets of the spans, by its statistics."""
    low, high = (file.statistics.get(f"{side}.offset") for side in ("min", "max"))
    if low is None or high is None:
        return True
    return any(low < end and high >= begin for begin, end in spans.values())


def _differs(load_id: int, where: str, said: tuple[Any, ...], found: tuple[Any, ...]) -> TieoutError:
    return TieoutError(
        f"silver made again is not equal: load {load_id}, {where} should be {said[0]} events of {said[1] or 0}, "
        f"and is {found[0]} of {found[1] or 0}.",
        AS_IT_WAS,
        "./scripts/tieout proof --full says whether the lake or the books are wrong; "
        "./scripts/tieout restore brings a backup back",
    )


def _sums(connection: Connection, loads: Sequence[_Load]) -> dict[str, Any]:
    books = {}
    tables = {table: "amount, currency" for entity in _loaded(loads) for table in _silver(entity)}
    tables["raw.dead_letters"] = "amount_hint as amount, currency_hint as currency"
    for table, money in tables.items():
        rows = connection.execute(
            f"select currency, count(*), sum(amount) from (select {money} from {table}) t group by 1 order by 1"
        ).fetchall()
        books[book_name(table)] = {str(key): [count, str(amount)] for key, count, amount in rows}
    return {"books": books}
