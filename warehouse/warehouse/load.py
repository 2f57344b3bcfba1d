"""`tieout load`: from the lake to silver, in loads that are one PostgreSQL transaction each."""

import sys
from collections.abc import Callable, Container, Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from contracts.model import Contract, load_contract
from core import failpoints
from core.errors import TieoutError
from core.lake import BRONZE, DEAD_LETTERS, Lake
from core.layout import Layout, find_layout
from core.niceness import pass_on
from core.settings import Settings, load_settings
from core.text import shown_lines
from warehouse import audit, cuts, feeds, gaps, losses, settle, told, totals
from warehouse.control_topic import ControlTopic, Told, read_control_watermark, write_control_watermark
from warehouse.dead_letters import load_dead_letters
from warehouse.errors import DatabaseAwayError, without_rows
from warehouse.fresh import load_events
from warehouse.plan import LoadRange, plan_lost, plan_next, plan_nothing
from warehouse.quality import prune_quality, write_quality
from warehouse.read import open_workspace, read_load
from warehouse.statuses import write_statuses
from warehouse.watermark import loaded_ends, read_watermark, write_watermark

Connection = psycopg.Connection[Any]
DISK_FULL = "53100"


def run_loads(
    settings: Settings | None = None,
    layout: Layout | None = None,
    *,
    try_fresh: bool = True,
    run_id: str | None = None,
    say: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Load everything that the lake holds beyond the watermark.

    Args:
        settings: the warehouse's; read from the home when not given.
        layout: where the lake is.
        try_fresh: False sends every load through the stage path; the result is the same.
        run_id: the run that asks for it; each load's audit row names it.
        say: told one line a load; standard error when not given.

    Returns:
        one entry a load, as `tieout load --json` shows it; empty when there is nothing new, or no lake yet.

    Raises:
        TieoutError: the database is away, another load runs, the lake's log has a gap, or a load failed. Loads that
            were finished before stay; the failed one left nothing but its audit row.
    """
    layout = layout or find_layout()
    settings = settings or load_settings(layout)
    say = say or _say_on_stderr
    lake = Lake.of(settings, layout)
    if not lake.bronze.exists():
        say("there is no lake yet: nothing to load")
        return []
    loads: list[dict[str, Any]] = []
    tell = _once(say)
    with _connect(settings) as connection:
        try:
            with audit.only_loader(connection, settings.loader_lock_wait_seconds):
                for orphan in audit.mark_orphans(connection):
                    say(f"load {orphan} had ended without a word and is marked FAILED")
                contract = load_contract()
                with ExitStack() as open_topics:
                    control = {
                        sender: open_topics.enter_context(closing(ControlTopic(settings, topic.name, tell)))
                        for sender, topic in contract.control_topics.items()
                    }
                    loader = _Loader(
                        connection,
                        lake,
                        settings,
                        contract,
                        control,
                        spill=layout.state / "load",
                        tell=tell,
                        try_fresh=try_fresh,
                        run_id=run_id,
                    )
                    while (load := loader.load_next()) is not None:
                        loads.append(load)
                        say(_summary(load))
                prune_quality(connection)
        except psycopg.Error as error:
            raise _database_away(error) from None
    return loads


def _once(say: Callable[[str], None]) -> Callable[[str], None]:
    """Return a say that does not repeat itself: what is true of one topic of control totals is true of the next."""
    said: set[str] = set()

    def tell(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    return tell


def _say_on_stderr(line: str) -> None:
    sys.stderr.write(f"{shown_lines(line)}\n")


def _summary(load: dict[str, Any]) -> str:
    first, last = load["versions"]
    counts = ("rows_read", "rows_loaded", "duplicates", "rejected", "already_loaded", "dead_letters")
    if first > last:
        return f"load {load['load_id']}: {load['control_totals']} control totals in {load['seconds']:.1f} s"
    told = ", ".join(f"{load[name]} {name.removeprefix('rows_').replace('_', ' ')}" for name in counts)
    if load["status_times_not_believed"]:
        told += f", {load['status_times_not_believed']} status times not believed"
    return f"load {load['load_id']}: versions {first}-{last}: {told} in {load['seconds']:.1f} s"


def _connect(settings: Settings) -> Connection:
    try:
        connection = psycopg.connect(settings.dsn("loader"), autocommit=True)
    except psycopg.OperationalError as error:
        raise _database_away(error) from None
    pass_on(connection)
    # A killed loader's session ends, and frees the lock, in the middle of a long statement too.
    connection.execute("set client_connection_check_interval = '1s'")
    connection.execute("set timezone = 'UTC'")
    return connection


def _database_away(error: psycopg.Error) -> DatabaseAwayError:
    left = "loads that were finished stay; a load that was under way is rolled back by the database."
    return DatabaseAwayError(error, left, "./scripts/tieout load")


def _failed(load_id: int | None, why: str) -> TieoutError:
    return TieoutError(
        f"load {load_id or 'without a number'} failed with {why}.",
        "it was rolled back; silver and the watermark are as the last load left them.",
        "mend the cause, then ./scripts/tieout load; metadata.load_audit has its row",
    )


class _Loader:
    """Plans and runs one load after the other on a connection that holds the loader's lock."""

    def __init__(
        self,
        connection: Connection,
        lake: Lake,
        settings: Settings,
        contract: Contract,
        control: Mapping[str, ControlTopic],
        *,
        spill: Path,
        tell: Callable[[str], None],
        try_fresh: bool,
        run_id: str | None,
    ) -> None:
        self._connection = connection
        self._lake = lake
        self._spill = spill
        self._settings = settings
        self._contract = contract
        self._control = control
        self._tell = tell
        self._try_fresh = try_fresh
        self._run_id = run_id

    def load_next(self) -> dict[str, Any] | None:
        """Run the next load; None when there is nothing more."""
        load_id, load = None, None
        try:
            while (load := self._plan()) is not None and load.is_empty:
                self._pass_over(load)
            # After the plan: a total that says less than what the load brings is then known to it.
            new = self._read_control()
            load = load or self._plan_without_lake(new)
            if load is not None:
                load_id = audit.open_audit(self._connection, load, self._run_id)
                return self._run(load, load_id, new)
        except TieoutError as error:
            self._mark_failed(load_id, type(error).__name__, error.what)
            raise
        except psycopg.Error as error:
            if self._connection.closed:
                raise  # the database went away and cannot be told; the next load finds the orphan
            code, detail = error.sqlstate or type(error).__name__, _place_of(error, load)
            self._mark_failed(load_id, code, detail)
            full = " (the database's disk is full)" if code == DISK_FULL else ""
            raise _failed(load_id, f"{code}{full}: {detail}") from None
        except (duckdb.Error, OSError, ValueError) as error:  # Arrow and the encoder raise the last two
            self._mark_failed(load_id, type(error).__name__, "while the lake's files were read")
            raise _failed(load_id, str(error).splitlines()[0]) from None
        return None

    def _mark_failed(self, load_id: int | None, code: str, detail: str) -> None:
        # A database that cannot even take this, as with a full disk, must not hide why: the next load marks the orphan.
        with suppress(psycopg.Error):
            audit.fail_audit(self._connection, load_id, code, detail, self._run_id)

    def _plan(self) -> LoadRange | None:
        return plan_next(
            self._lake.bronze,
            self._lake.dead_letters,
            read_watermark(self._connection, BRONZE),
            read_watermark(self._connection, DEAD_LETTERS),
            self._settings.max_rows_per_load,
        )

    def _plan_without_lake(self, new: Mapping[str, Told]) -> LoadRange | None:
        """Plan a load for what is lost with a topic that is gone, or for new control totals alone."""
        loaded = read_watermark(self._connection, BRONZE)
        if loaded is None:
            return None
        nothing = plan_nothing(loaded, read_watermark(self._connection, DEAD_LETTERS))
        lost = losses.find_lost_with_topic(self._connection)
        return plan_lost(nothing, *lost) if lost else nothing if new else None

    def _read_control(self) -> dict[str, Told]:
        """Return what is new on the topics of control totals, by sender."""
        read = {
            sender: topic.read(read_control_watermark(self._connection, sender))
            for sender, topic in self._control.items()
        }
        return {sender: new for sender, new in read.items() if new is not None}

    def _pass_over(self, load: LoadRange) -> None:
        """Move the watermark over commits without rows, such as compaction: nothing was loaded, so there is no load."""
        with self._connection.transaction():
            write_watermark(self._connection, BRONZE, load.bronze_watermark, None)

    def _run(self, load: LoadRange, load_id: int, new: Mapping[str, Told]) -> dict[str, Any]:
        with open_workspace(self._spill, self._settings.loader_memory) as workspace:
            found = read_load(workspace, self._lake, load, self._contract)
            bronze = totals.count_bronze(workspace, self._contract)
            with self._connection.transaction():
                before = loaded_ends(self._connection, load.topic_id or "")
                reread = any(begin < before.get(partition, 0) for partition, begin in load.start.items())
                path, pairs = load_events(
                    self._connection, workspace, self._contract, load_id, reread=reread, try_fresh=self._try_fresh
                )
                totals.sum_new(self._connection, load_id)
                write_statuses(self._connection, load_id, pairs)
                load_dead_letters(self._connection, workspace, load_id)
                books = totals.count_books(self._connection, load_id, self._contract, staged=path == "STAGE")
                totals.check_books(bronze, books)
                totals.write_totals(self._connection, load_id, bronze, books)
                totals.write_offsets(self._connection, load_id, load)
                totals.write_lost(self._connection, workspace, load_id, load, before)
                gaps.write_missing(self._connection, workspace, load_id, load, before)
                losses.write_gone(self._connection, load_id, load.gone)
                not_believed = write_quality(self._connection, workspace, load_id, self._contract, found)
                write_watermark(self._connection, BRONZE, load.bronze_watermark, load_id)
                if load.dead_letter_watermark:
                    write_watermark(self._connection, DEAD_LETTERS, load.dead_letter_watermark, load_id)
                self._count_feeds(workspace, load, load_id, before, new)
                done = audit.close_audit(self._connection, load_id, found, path, _counts(books))
                done["control_totals"] = sum(len(each.totals) for each in new.values())
                done["status_times_not_believed"] = not_believed
                failpoints.reach("load.before-commit")
            failpoints.reach("load.after-commit")
            return done

    def _count_feeds(
        self, workspace: Any, load: LoadRange, load_id: int, before: dict[int, int], new: Mapping[str, Told]
    ) -> None:
        ends = settle.Ends(self._connection, load.topic_id, {**before, **load.end})
        arrived = feeds.gather_arrived(workspace, self._contract, before)
        runs = self._take_control_totals(load_id, new, arrived, ends)
        portions = feeds.count_feeds(self._connection, workspace, arrived)
        feeds.write_feeds(self._connection, load_id, portions)
        cuts.cut_earlier_portions(self._connection, self._contract, runs)
        runs |= losses.feeds_of(self._connection, load.topic_id) if load.lost else set()
        settle.settle(self._connection, load_id, runs | {portion.run for portion in portions}, ends)

    def _take_control_totals(
        self, load_id: int, new: Mapping[str, Told], arrived: Container[str], ends: settle.Ends
    ) -> set[str]:
        """Write each sender's totals and how far its topic is read; return the feeds that they speak of."""
        runs: set[str] = set()
        for sender, read in new.items():
            taken = told.write_control_totals(
                self._connection, load_id, self._contract, sender, read.totals, arrived=arrived, ends=ends
            )
            write_control_watermark(self._connection, load_id, sender, read, taken)
            runs |= taken.runs
            topic = self._contract.control_topics[sender].name
            if taken.foreign:
                self._tell(
                    f"{taken.foreign} control totals on {topic} are of feeds of another sender and were passed over"
                )
            if taken.refused:
                self._tell(
                    f"{taken.refused} control totals on {topic} were passed over: of too many feeds "
                    "that they speak of no event has come. Next: ./scripts/tieout feed list"
                )
        return runs


def _counts(books: dict[str, totals.Totals]) -> dict[str, int]:
    return {book: sum(count for count, _ in by_key.values()) for book, by_key in books.items()}


def _place_of(error: psycopg.Error, load: LoadRange | None) -> str:
    where = without_rows(error)
    if load is not None:
        ranges = (f"{p}:{begin}-{load.end[p]}" for p, begin in sorted(load.start.items()))
        where.append(f"offsets {' '.join(ranges)} of topic {load.topic_id}")
    return ", ".join(where)
