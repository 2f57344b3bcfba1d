"""`tieout load`: from the lake to silver, in loads that are one PostgreSQL transaction each."""

import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

import psycopg

from contracts.entities import entity_names, load_platform, readable_entities
from contracts.model import PAYMENTS
from core.errors import OutageError
from core.lake import Lake, LakeTable
from core.layout import Layout, find_layout
from core.niceness import pass_on
from core.parts import Parts
from core.pooler import open_session
from core.settings import Settings, load_settings
from core.text import shown_lines
from warehouse import audit
from warehouse.control_topic import ControlTopic
from warehouse.errors import DatabaseAwayError
from warehouse.loader import Context, Loader
from warehouse.quality import prune_quality

Connection = psycopg.Connection[Any]


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

    An entity whose load fails does not stop the others: they are loaded, and its error comes at the end.

    Raises:
        TieoutError: the database is away, another load runs, or entities failed: a contract, the lake's log or a load.
            Loads that were finished stay, `done` of the error has them; a failed one left nothing but its audit row.
    """
    layout = layout or find_layout()
    settings = settings or load_settings(layout)
    say = say or _say_on_stderr
    lake, parts = Lake.of(settings, layout), Parts(entity_names())
    entities = readable_entities(parts)
    if not any(_is_there(lake.table(entity.bronze)) for entity in entities):
        parts.raise_failed([])
        say("there is no lake yet: nothing to load")
        return []
    # A total may be of any entity: all wait until every contract can be read.
    senders = {} if parts.failed else load_platform().control_topics
    loads: list[dict[str, Any]] = []
    tell = _once(say)
    with _connect(settings) as connection:
        try:
            with audit.only_loader(connection, settings.loader_lock_wait_seconds):
                for orphan in audit.mark_orphans(connection):
                    say(f"load {orphan} had ended without a word and is marked FAILED")
                with ExitStack() as open_topics:
                    control = {
                        sender: open_topics.enter_context(closing(ControlTopic(settings, topic.name, tell)))
                        for sender, topic in senders.items()
                    }
                    context = Context(
                        connection,
                        lake,
                        settings,
                        entities,
                        control,
                        spill=layout.state / "load",
                        tell=tell,
                        try_fresh=try_fresh,
                        run_id=run_id,
                    )
                    loader = Loader(context, parts)
                    while (load := loader.load_next()) is not None:
                        loads.append(load)
                        say(_summary(load))
                prune_quality(connection)
        except psycopg.Error as error:
            raise _database_away(error) from None
    parts.raise_failed(loads)
    return loads


def _is_there(bronze: LakeTable) -> bool:
    """Say whether there is a table, or something that cannot be read: the entity's load will say what."""
    try:
        return bronze.exists()
    except (OutageError, OSError):
        return True


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
    name = f"load {load['load_id']}" if load["entity"] == PAYMENTS else f"load {load['load_id']} of {load['entity']}"
    counts = ("rows_read", "rows_loaded", "duplicates", "rejected", "already_loaded", "dead_letters")
    if first > last:
        return f"{name}: {load['control_totals']} control totals in {load['seconds']:.1f} s"
    told = ", ".join(f"{load[count]} {count.removeprefix('rows_').replace('_', ' ')}" for count in counts)
    if load["status_times_not_believed"]:
        told += f", {load['status_times_not_believed']} status times not believed"
    return f"{name}: versions {first}-{last}: {told} in {load['seconds']:.1f} s"


def _connect(settings: Settings) -> Connection:
    try:
        connection = open_session(settings.dsn("loader"))
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
