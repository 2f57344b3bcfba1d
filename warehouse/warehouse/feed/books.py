"""`tieout feed list` and `tieout feed void`: how the feeds stand, and the end of those that cannot tie out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg

from contracts.control_total import sender_of
from contracts.entities import load_entities, load_platform
from contracts.model import Entity
from core.errors import OutageError, TieoutError
from core.settings import Settings
from core.text import shown
from warehouse.audit import only_loader
from warehouse.dlq.books import asked_by
from warehouse.proof.equation import DIFFERENT, OK, OPEN, UNATTESTED, VOID
from warehouse.proof.feed_books import FeedBooks, read_feeds
from warehouse.proof.feeds import judge
from warehouse.settle import Ends
from warehouse.snapshot import in_words, one_snapshot
from warehouse.watermark import read_watermark

# The worst of a feed's lines first: it is what the feed is.
VERDICTS = (DIFFERENT, OPEN, VOID, UNATTESTED, OK)
NOTHING = "no feed was ended, and nothing was written."
LIST = "./scripts/tieout feed list"
LONGEST_REASON = 500

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Feed:
    """A feed, the entity that it is of, and its verdict in E0."""

    entity: Entity
    books: FeedBooks
    verdict: str

    def as_json(self) -> dict[str, Any]:
        """Return the feed as `tieout feed list --json` shows it."""
        books, void = self.books, self.books.void
        stated = [books.settled[0].seq if books.settled else 0, *(total.seq for total, _ in books.waiting)]
        return {
            "feed": books.run,
            "entity": self.entity.name,
            "sender": None if books.is_none else sender_of(books.run, load_platform().control_topics),
            "verdict": self.verdict,
            "events": books.events,
            "stated": max(stated),
            "agreed": stated[0],
            "closed": books.closed_seq,
            "contradictions": books.contradictions,
            "ended_by": void[0] if void else None,
            "reason": void[1] if void else None,
        }


def read_judged(connection: Connection) -> list[Feed]:
    """Return every feed of the books with its verdict, newest first."""
    feeds = [feed for entity in load_entities() for feed in _judged(connection, entity)]
    return sorted(feeds, key=lambda feed: -feed.books.last_load_id)


def _judged(connection: Connection, entity: Entity) -> Iterable[Feed]:
    watermark = read_watermark(connection, entity.bronze)
    ends = Ends(connection, watermark.topic_id if watermark else None, watermark.ends if watermark else {})
    for books in read_feeds(connection, entity, 0):
        yield Feed(entity, books, _verdict({line.verdict for line in judge(books, ends)}))


def _verdict(verdicts: set[str]) -> str:
    return next((verdict for verdict in VERDICTS if verdict in verdicts), OK)


def list_feeds(settings: Settings, verdicts: Sequence[str], limit: int) -> dict[str, Any]:
    """Return the newest feeds of some verdicts, and how many there are of each.

    Raises:
        TieoutError: the database is away or its schema is older.
    """
    with one_snapshot(settings.dsn("dbt"), "nothing was read or written.") as connection:
        feeds = read_judged(connection)
    found = [feed for feed in feeds if feed.verdict in verdicts]
    return {
        "feeds": [feed.as_json() for feed in found[:limit]],
        "more": max(0, len(found) - limit),
        "verdicts": dict(sorted(Counter(feed.verdict for feed in feeds).items())),
    }


def void_feeds(settings: Settings, names: Sequence[str], reason: str, *, dry_run: bool) -> dict[str, Any]:
    """End feeds in the books, all of them or none: E0 shows them as VOID and compares them no more.

    Args:
        settings: the warehouse's.
        names: the feeds, each as it is or as the proof shows it.
        reason: why, for the books.
        dry_run: only say what would be ended.

    Raises:
        TieoutError: a feed is not in the books, has ended already or ties out; the database is away or a load runs.
    """
    try:
        with psycopg.connect(settings.dsn("loader"), autocommit=True) as connection, ExitStack() as stack:
            connection.execute("set timezone = 'UTC'")
            try:
                stack.enter_context(only_loader(connection, settings.loader_lock_wait_seconds))
            except OutageError as error:
                raise OutageError(
                    f"{error.what} It may change what the books say of a feed.",
                    NOTHING,
                    "./scripts/tieout status shows it; then the same command again",
                ) from None
            feeds = _choose(read_judged(connection), names)
            if not dry_run:
                with connection.transaction():
                    for feed in feeds:
                        _void(connection, feed, reason)
    except psycopg.Error as error:
        raise in_words(error, NOTHING) from None
    return {
        "ok": True,
        "dry_run": dry_run,
        "feeds": [feed.as_json() for feed in feeds],
        "reason": reason,
        "ended_by": asked_by(),
    }


def _choose(feeds: Iterable[Feed], names: Sequence[str]) -> list[Feed]:
    known = {feed.books.run: feed for feed in feeds}
    as_shown = {shown(run): run for run in known}
    chosen = {name: known.get(name) or known.get(as_shown.get(name, "")) for name in names}
    for name, feed in chosen.items():
        if feed is None:
            raise TieoutError(f"the books have no feed {shown(name)}.", NOTHING, LIST)
        if feed.books.is_none:
            raise TieoutError(
                f"{name} is no feed: it stands for events that name none, and nothing is compared with them.",
                NOTHING,
                LIST,
            )
        if feed.books.void is not None:
            by, why = feed.books.void
            raise TieoutError(
                f"feed {shown(name)} was ended already, by {shown(by)}: {shown(why)}.",
                NOTHING,
                f"{LIST} --verdict void",
            )
        if feed.verdict == OK:
            raise TieoutError(f"feed {shown(name)} ties out: there is nothing to end.", NOTHING, LIST)
    return list({feed.books.run: feed for feed in chosen.values() if feed is not None}.values())


def _void(connection: Connection, feed: Feed, reason: str) -> None:
    run = feed.books.run
    connection.execute(
        """
        insert into metadata.feed_voids
            (run, reason, voided_by, verdict, events, settled_seq, closed_seq, contradictions)
        select run, %s, %s, %s, events, settled_seq, closed_seq, contradictions from metadata.feeds where run = %s
        """,
        [reason, asked_by(), feed.verdict, run],
    )
    # Finished now: the proof counts it once more and brings it forward.
    connection.execute(
        """
        with newest as (select max(load_id) as load_id from metadata.load_audit)
        update metadata.feeds set is_void = true, finished_load_id = newest.load_id,
            first_finished_load_id = coalesce(first_finished_load_id, newest.load_id)
        from newest where run = %s
        """,
        [run],
    )
