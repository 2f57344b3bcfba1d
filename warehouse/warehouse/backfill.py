# ruff: noqa: S608  (column names come from the contract; days, offsets and paths are our own)
"""A range of the lake, read again into silver: what is there stays, what is missing comes back to the load it was of.

A row keeps its coordinates, so that reading it again finds it loaded. A row that is missing is judged as the load did
it, and added under the load that had read it: then the books of that load tie out again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import duckdb
import psycopg

from contracts.model import Entity
from core.errors import TieoutError
from core.lake import Lake, LakeTable, LiveFile
from core.layout import Layout
from core.niceness import pass_on
from core.settings import Settings
from warehouse import audit, stage, totals
from warehouse.errors import DatabaseAwayError, without_rows
from warehouse.read import Found, open_workspace, view_events
from warehouse.watermark import Watermark, read_watermark

Connection = psycopg.Connection[Any]
Offsets = Mapping[int, tuple[int, int]]
LOCK_WAIT_SECONDS = 120.0
NOTHING_READ = "nothing was read or written."
# A backfill that was cut short leaves out what it did so lately; what may have been lost since is read again.
RESUME_WITHIN = timedelta(days=1)

# The local day of an event, as the marts count it. An event that claims a day outside the calendar is rejected, and
# stands under the last day that there is.
_DAY = (
    "greatest(least(cast((occurred_at at time zone 'UTC') + to_minutes(cast(utc_offset_minutes as bigint)) as date),"
    f" date '{date.max}'), date '{date.min}')"
)

_OWNER = """(
    select o.load_id from metadata.load_offsets o join metadata.load_audit a using (load_id)
    where a.status = 'SUCCESS' and o.topic_id = s.topic_id and o.partition = s."partition"
        and s."offset" >= o.start_offset and s."offset" < o.end_offset
    order by o.load_id limit 1
)"""


class Backfill:
    """Reads days again, one after the other; each is one transaction and done for good."""

    def __init__(
        self, connection: Connection, settings: Settings, layout: Layout, entity: Entity, run_id: str | None
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._bronze = Lake.of(settings, layout).table(entity.bronze)
        self._spill = layout.state / "load"
        self._run_id = run_id
        self._entity = entity

    def check(self, offsets: Offsets) -> None:
        """Refuse offsets of which no load has read any: nothing would be filled up, and that must not look done.

        Raises:
            TieoutError: a partition is not among those that loads have read, or a range begins behind its end.
        """
        watermark = self._read_watermark()
        for partition, (begin, _) in offsets.items():
            end = watermark.ends.get(partition, 0)
            if begin >= end:
                known = ", ".join(f"{p} up to offset {e - 1:,}" for p, e in sorted(watermark.ends.items()) if e)
                raise TieoutError(
                    f"no load has read offset {begin:,} of partition {partition}; they have read {known}.",
                    NOTHING_READ,
                    "./scripts/tieout backfill --offsets P:FROM-TO with one of these partitions",
                )

    def _read_watermark(self) -> Watermark:
        """Return how far loads have read the lake.

        Raises:
            TieoutError: they have not.
        """
        watermark = read_watermark(self._connection, self._bronze.name)
        if watermark is None or not watermark.ends:
            raise TieoutError(
                "no load has read the lake yet, or it is to be read again from its begin: there is nothing to fill up.",
                NOTHING_READ,
                "./scripts/tieout load, then ./scripts/tieout backfill again",
            )
        return watermark

    def open(self, request: str) -> tuple[str, dict[date, dict[str, Any]]]:
        """Return the id of the backfill for a request, and the days that an unfinished one did within the last day."""
        row = self._connection.execute(
            "insert into metadata.backfills (request, run_id, entity) values (%s, %s, %s)"
            " on conflict (request) where finished_at is null do update set run_id = excluded.run_id"
            " returning backfill_id::text",
            [request, self._run_id, self._entity.name],
        ).fetchone()
        assert row is not None  # noqa: S101  # insert returning
        return row[0], self._done(row[0])

    def _done(self, backfill_id: str) -> dict[date, dict[str, Any]]:
        done = self._connection.execute(
            "select day, load_id, rows_read, rows_loaded, duplicates, rejected, already_loaded"
            " from metadata.backfill_days where backfill_id = %s and done_at > clock_timestamp() - %s order by done_at",
            [backfill_id, RESUME_WITHIN],
        ).fetchall()
        return {day: _counts(load_id, *counts) for day, load_id, *counts in done}

    def close(self, backfill_id: str, build_id: str | None) -> None:
        """Write that a backfill is done, and which build brought it to the marts."""
        self._connection.execute(
            "update metadata.backfills set finished_at = clock_timestamp(), build_id = %s where backfill_id = %s",
            [build_id, backfill_id],
        )

    def days(self, first: date | None, last: date | None, offsets: Offsets) -> list[date]:
        """Return the business days of the range that the lake has events of, oldest first."""
        files = _files(self._bronze, first, last)
        wanted = [_of_offsets(offsets)] if offsets else []
        wanted += [f"{_DAY} between date '{first}' and date '{last}'"] if first else []
        with self._workspace() as workspace:
            rows = [
                row
                for source in self._bronze.portions(workspace, files)
                for row in workspace.execute(
                    f"select distinct {_DAY} from {source} where {' and '.join(wanted)}"
                ).fetchall()
            ]
        return sorted({day for (day,) in rows if day is not None})

    def read_day(self, backfill_id: str, day: date, offsets: Offsets) -> dict[str, Any]:
        """Read a day again; return its load and the counts by book.

        Raises:
            TieoutError: the database is away, another load runs, no load has read the lake yet, or the books would not
                tie out.
        """
        with (
            audit.only_loader(self._connection, max(LOCK_WAIT_SECONDS, self._settings.loader_lock_wait_seconds)),
            self._workspace() as workspace,
        ):
            audit.mark_orphans(self._connection)
            # Another backfill of the same request may have read it while this one waited.
            if (found := self._done(backfill_id).get(day)) is not None:
                return found
            self._view(workspace, day, offsets)
            rows = int(workspace.execute("select count(*) from events").fetchall()[0][0])
            with self._connection.transaction():
                load_id, books, restored = (None, {}, []) if not rows else self._stage(workspace, rows)
                counts = {book: sum(n for n, _ in found.values()) for book, found in books.items()}
                names = ("NEW", "DUPLICATE", "REJECTED", "ALREADY_LOADED")
                done = _counts(load_id, rows, *(counts.get(name, 0) for name in names))
                self._connection.execute(
                    "insert into metadata.backfill_days (backfill_id, day, load_id, rows_read, rows_loaded, duplicates,"
                    " rejected, already_loaded, restored_loads) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                    [backfill_id, day, *done.values(), restored],
                )
        return done

    def _workspace(self) -> Any:
        return open_workspace(self._spill, self._settings.loader_memory)

    def _view(self, workspace: duckdb.DuckDBPyConnection, day: date, offsets: Offsets) -> None:
        """View the events of the day that loads have passed; what is behind them is theirs to load."""
        watermark = self._read_watermark()
        files = [file.path for file in _files(self._bronze, day, day)]
        loaded = _of_offsets({p: (0, end) for p, end in watermark.ends.items()})
        wanted = [f"{_DAY} = date '{day}'", f"(topic_id <> '{watermark.topic_id}' or {loaded})"]
        wanted += [_of_offsets(offsets)] if offsets else []
        view_events(workspace, self._entity, self._bronze.parquet(workspace, files), " and ".join(wanted))

    def _stage(
        self, workspace: duckdb.DuckDBPyConnection, rows: int
    ) -> tuple[int, dict[str, totals.Totals], list[int]]:
        row = self._connection.execute(
            "insert into metadata.load_audit (status, run_id, entity) values ('RUNNING', %s, %s) returning load_id",
            [self._run_id, self._entity.name],
        ).fetchone()
        load_id = int(row[0]) if row else 0
        entity, connection = self._entity, self._connection
        stage.load_staged(connection, workspace, load_id, entity, source="events", reread=True, owner=_OWNER)
        bronze, books = totals.count_bronze(workspace, entity), _books(connection, entity)
        totals.check_books(bronze, books)
        totals.write_totals(connection, load_id, bronze, books)
        restored = connection.execute("select distinct load_id from verdicts where verdict = 'NEW'").fetchall()
        counts = {book: sum(n for n, _ in found.values()) for book, found in books.items()}
        audit.close_audit(connection, load_id, Found(rows, rows, 0, 0), "STAGE", {**counts, "DEAD_LETTER": 0})
        return load_id, books, [load for (load,) in restored]


@contextmanager
def open_backfill(settings: Settings, layout: Layout, entity: Entity, run_id: str | None) -> Iterator[Backfill]:
    """Connect as the loader.

    Args:
        settings: the warehouse's.
        layout: where the lake is.
        entity: whose events are read again.
        run_id: the run that asks.

    Raises:
        DatabaseAwayError: the database is, or goes, away.
        TieoutError: the database or the lake refuses something. No row is in the message.
    """
    left = "days that were done stay; the day that was under way is rolled back."
    try:
        with psycopg.connect(settings.dsn("loader"), autocommit=True) as connection:
            pass_on(connection)
            connection.execute("set client_connection_check_interval = '1s'")
            connection.execute("set timezone = 'UTC'")
            yield Backfill(connection, settings, layout, entity, run_id)
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, left, "./scripts/tieout backfill again") from None
    except (psycopg.Error, duckdb.Error, OSError) as error:
        where = without_rows(error) if isinstance(error, psycopg.Error) else ["while the lake's files were read"]
        code = error.sqlstate if isinstance(error, psycopg.Error) else None
        raise TieoutError(
            f"the backfill failed with {', '.join([code or type(error).__name__, *where])}.",
            left,
            "mend the cause, then ./scripts/tieout backfill again",
        ) from None


def _counts(load_id: int | None, *counts: int) -> dict[str, Any]:
    names = ("rows_read", "rows_loaded", "duplicates", "rejected", "already_loaded")
    return {"load_id": load_id, **dict(zip(names, counts, strict=True))}


def _books(connection: Connection, entity: Entity) -> dict[str, totals.Totals]:
    known = totals.currency_sql(entity)
    rows = connection.execute(
        f"""
        select case when v.verdict in ('NEW', 'DUPLICATE', 'ALREADY_LOADED') then v.verdict else 'REJECTED' end,
            "partition", {known} as known, count(*), case when {known} is not null then sum(amount) end
        from stage s join verdicts v on v.place = s.ctid group by 1, 2, 3
        """
    ).fetchall()
    books: dict[str, totals.Totals] = {name: {} for name in ("NEW", "DUPLICATE", "REJECTED", "ALREADY_LOADED")}
    for book, partition, currency, count, amount in rows:
        books[book][partition, currency] = (count, amount)
    return books


def _files(bronze: LakeTable, first: date | None, last: date | None) -> list[LiveFile]:
    """Return the table's files; those whose statistics exclude the days are left out."""
    files = bronze.files()
    if first is None or last is None:
        return files
    return [file for file in files if _may_have(file.statistics, first, last)]


def _may_have(statistics: Mapping[str, Any], first: date, last: date) -> bool:
    low, high = (statistics.get(f"{side}.occurred_at") for side in ("min", "max"))
    if low is None or high is None:
        return True
    return bool(high.toordinal() >= first.toordinal() - 1 and low.toordinal() <= last.toordinal() + 1)


def _of_offsets(offsets: Offsets) -> str:
    spans = (f'("partition" = {p} and "offset" >= {begin} and "offset" < {end})' for p, (begin, end) in offsets.items())
    return "(" + (" or ".join(spans) or "false") + ")"
