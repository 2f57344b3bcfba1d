"""One load after the other: the next of whichever entity has something, planned, read, written and counted."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from contracts.model import Entity
from core import failpoints
from core.errors import TieoutError
from core.lake import Lake
from core.parts import Parts
from core.settings import Settings
from warehouse import audit, control_totals, cuts, feeds, gaps, losses, settle, totals
from warehouse.control_topic import ControlTopic, NewTotals, read_control_watermark, write_control_watermark
from warehouse.dead_letters import load_dead_letters
from warehouse.errors import without_rows
from warehouse.fresh import load_events
from warehouse.plan import LoadRange, plan_lost, plan_next, plan_nothing
from warehouse.quality import write_quality
from warehouse.read import open_workspace, read_load
from warehouse.statuses import write_statuses
from warehouse.watermark import loaded_ends, read_watermark, write_watermark

DISK_FULL = "53100"


@dataclass(frozen=True)
class Context:
    """What all loads of a process share.

    Attributes:
        connection: holds the loader's lock.
        entities: in the order in which they are loaded.
        control: the topic of control totals by its sender.
        spill: folder for what DuckDB spills.
        tell: told once what a person must know.
        try_fresh: False sends every event through the stage path.
        run_id: the run that asks.
    """

    connection: psycopg.Connection[Any]
    lake: Lake
    settings: Settings
    entities: Sequence[Entity]
    control: Mapping[str, ControlTopic]
    spill: Path
    tell: Callable[[str], None]
    try_fresh: bool
    run_id: str | None


@dataclass
class _Attempt:
    """A load of an entity as far as it has got."""

    load: LoadRange | None = None
    load_id: int | None = None


class Loader:
    """Plans and runs loads on a connection that holds the loader's lock.

    Args:
        context: what all loads share.
        parts: the entities; one whose load fails is passed over from then on.
    """

    def __init__(self, context: Context, parts: Parts) -> None:
        self._context = context
        self._parts = parts
        self._connection = context.connection
        self._entity = context.entities[0]

    def load_next(self) -> dict[str, Any] | None:
        """Run the next load; None when there is nothing more of any entity that has not failed.

        Raises:
            psycopg.Error: the database went away.
        """
        while True:
            load = self._plan()
            # After the plan: a total that says less than what the load brings is then known to it.
            new = self._read_control()
            load = load or self._plan_without_lake(new)
            if load is None:
                return None
            with self._attempt() as attempt:
                attempt.load = load
                attempt.load_id = audit.open_audit(self._connection, load, self._entity.name, self._context.run_id)
                return self._run(load, attempt.load_id, new)

    @contextmanager
    def _attempt(self) -> Iterator[_Attempt]:
        """Load the entity; where that fails, its audit row and its part say why, and the other entities go on."""
        attempt = _Attempt()
        with self._parts.part(self._entity.name):
            try:
                yield attempt
            except TieoutError as error:
                self._mark_failed(attempt.load_id, type(error).__name__, error.what)
                raise
            except psycopg.Error as error:
                if self._connection.closed:
                    raise  # the database went away and cannot be told; the next load finds the orphan
                code, detail = error.sqlstate or type(error).__name__, _place_of(error, attempt.load)
                self._mark_failed(attempt.load_id, code, detail)
                full = " (the database's disk is full)" if code == DISK_FULL else ""
                raise _failed(attempt.load_id, f"{code}{full}: {detail}") from None
            except (duckdb.Error, OSError, ValueError) as error:  # Arrow and the encoder raise the last two
                self._mark_failed(attempt.load_id, type(error).__name__, "while the lake's files were read")
                raise _failed(attempt.load_id, str(error).splitlines()[0]) from None

    def _mark_failed(self, load_id: int | None, code: str, detail: str) -> None:
        # A database that cannot even take this, as with a full disk, must not hide why: the next load marks the orphan.
        with suppress(psycopg.Error):
            run_id = self._context.run_id
            audit.fail_audit(self._connection, load_id, code, detail, entity=self._entity.name, run_id=run_id)

    def _entities(self) -> Iterator[Entity]:
        """Yield those that have not failed, and remember each."""
        for entity in self._context.entities:
            if entity.name not in self._parts.failed:
                self._entity = entity
                yield entity

    def _plan(self) -> LoadRange | None:
        """Return what the first entity with something new has, and remember the entity."""
        for _ in self._entities():
            with self._attempt():
                while (load := self._plan_entity()) is not None and load.is_empty:
                    self._pass_over(load)
                if load is not None:
                    return load
        return None

    def _plan_entity(self) -> LoadRange | None:
        entity, lake = self._entity, self._context.lake
        return plan_next(
            lake.table(entity.bronze),
            lake.table(entity.dead_letters),
            read_watermark(self._connection, entity.bronze),
            read_watermark(self._connection, entity.dead_letters),
            self._context.settings.max_rows_per_load,
        )

    def _plan_without_lake(self, new: Mapping[str, NewTotals]) -> LoadRange | None:
        """Plan a load for what is lost with a topic that is gone, or for new control totals alone."""
        lost = losses.find_lost_with_topic(self._connection)
        if not lost and not new:
            return None
        for entity in self._entities():
            loaded = read_watermark(self._connection, entity.bronze)
            if loaded is None or (lost and entity.name != lost.entity):
                continue
            nothing = plan_nothing(loaded, read_watermark(self._connection, entity.dead_letters))
            return plan_lost(nothing, lost.topic_id, lost.ends, lost.lost) if lost else nothing
        return None

    def _read_control(self) -> dict[str, NewTotals]:
        """Return what is new on the topics of control totals, by sender."""
        read = {
            sender: topic.read(read_control_watermark(self._connection, sender))
            for sender, topic in self._context.control.items()
        }
        return {sender: new for sender, new in read.items() if new is not None}

    def _pass_over(self, load: LoadRange) -> None:
        """Move the watermark over commits without rows, such as compaction: nothing was loaded, so there is no load."""
        with self._connection.transaction():
            write_watermark(self._connection, self._entity.bronze, load.bronze_watermark, None)

    def _run(self, load: LoadRange, load_id: int, new: Mapping[str, NewTotals]) -> dict[str, Any]:
        context, connection, entity = self._context, self._connection, self._entity
        with open_workspace(context.spill, context.settings.loader_memory) as workspace:
            found = read_load(workspace, context.lake, load, entity)
            bronze = totals.count_bronze(workspace, entity)
            with connection.transaction():
                before = loaded_ends(connection, load.topic_id or "")
                reread = any(begin < before.get(partition, 0) for partition, begin in load.start.items())
                path, pairs = load_events(
                    connection, workspace, entity, load_id, reread=reread, try_fresh=context.try_fresh
                )
                totals.sum_new(connection, load_id, entity)
                write_statuses(connection, load_id, pairs)
                load_dead_letters(connection, workspace, load_id)
                books = totals.count_books(connection, load_id, entity, staged=path == "STAGE")
                totals.check_books(bronze, books)
                totals.write_totals(connection, load_id, bronze, books)
                totals.write_offsets(connection, load_id, load)
                totals.write_lost(connection, workspace, load_id, load, before)
                gaps.write_missing(connection, workspace, load_id, load, before)
                losses.write_gone(connection, load_id, load.gone)
                not_believed = write_quality(connection, workspace, load_id, entity, found)
                write_watermark(connection, entity.bronze, load.bronze_watermark, load_id)
                if load.dead_letter_watermark:
                    write_watermark(connection, entity.dead_letters, load.dead_letter_watermark, load_id)
                self._count_feeds(workspace, load, load_id, before, new)
                done = audit.close_audit(connection, load_id, found, path, _counts(books))
                done["control_totals"] = sum(len(each.totals) for each in new.values())
                done["status_times_not_believed"] = not_believed
                failpoints.reach("load.before-commit")
            failpoints.reach("load.after-commit")
            return done

    def _count_feeds(
        self,
        workspace: duckdb.DuckDBPyConnection,
        load: LoadRange,
        load_id: int,
        before: dict[int, int],
        new: Mapping[str, NewTotals],
    ) -> None:
        connection, entity = self._connection, self._entity
        ends = settle.Ends(connection, load.topic_id, {**before, **load.end}, entity.name)
        arrived = feeds.gather_arrived(workspace, entity, before)
        runs = self._take_control_totals(load_id, new, arrived, ends)
        portions = feeds.count_feeds(connection, workspace, entity, arrived)
        feeds.write_feeds(connection, load_id, entity, portions)
        cuts.cut_earlier_portions(connection, runs)
        runs |= losses.feeds_of(connection, entity.name, load.topic_id) if load.lost else set()
        settle.settle(connection, load_id, runs | {portion.run for portion in portions}, ends)

    def _take_control_totals(
        self, load_id: int, new: Mapping[str, NewTotals], arrived: Container[str], ends: settle.Ends
    ) -> set[str]:
        """Write each sender's totals and how far its topic is read; return the feeds that they speak of."""
        runs: set[str] = set()
        for sender, read in new.items():
            taken = control_totals.write_control_totals(
                self._connection, load_id, self._entity, sender, read.totals, arrived=arrived, ends=ends
            )
            write_control_watermark(self._connection, load_id, sender, read, taken)
            runs |= taken.runs
            topic = self._entity.platform.control_topics[sender].name
            if taken.foreign:
                self._context.tell(
                    f"{taken.foreign} control totals on {topic} are of feeds of another sender and were passed over"
                )
            if taken.refused:
                self._context.tell(
                    f"{taken.refused} control totals on {topic} were passed over: of too many feeds "
                    "that they speak of no event has come. Next: ./scripts/tieout feed list"
                )
        return runs


def _failed(load_id: int | None, why: str) -> TieoutError:
    return TieoutError(
        f"load {load_id or 'without a number'} failed with {why}.",
        "it was rolled back; silver and the watermark are as the last load left them.",
        "mend the cause, then ./scripts/tieout load; metadata.load_audit has its row",
    )


def _counts(books: dict[str, totals.Totals]) -> dict[str, int]:
    return {book: sum(count for count, _ in by_key.values()) for book, by_key in books.items()}


def _place_of(error: psycopg.Error, load: LoadRange | None) -> str:
    where = without_rows(error)
    if load is not None:
        ranges = (f"{p}:{begin}-{load.end[p]}" for p, begin in sorted(load.start.items()))
        where.append(f"offsets {' '.join(ranges)} of topic {load.topic_id}")
    return ", ".join(where)
