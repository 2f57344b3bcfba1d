"""Letters go back: intent, then the message, then the confirmation, a page at a time; killed anywhere, it goes on.

An intent is in PostgreSQL, bytes and headers, before its message is sent. So whatever was under way at a kill is sent
again as it was, under the same feed and number, and the loader takes the first of the two that arrive.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from contracts.control_total import SECONDS_BETWEEN
from contracts.entities import load_entities
from contracts.model import Entity
from core import failpoints
from core.errors import TieoutError
from warehouse.dlq import intents
from warehouse.dlq.books import Connection, asked_by, book_of, current_topic, only_decider
from warehouse.dlq.forecast import open_forecast
from warehouse.dlq.intents import Feed
from warehouse.dlq.plan import Intent, Message, Planner
from warehouse.dlq.selection import NOTHING
from warehouse.dlq.sender import REDRIVE, Sender
from warehouse.dlq.sources import Opened, Page, Source
from warehouse.dlq.tally import Tally

Say = Callable[[str], None]
Show = Callable[[int, int], None]


def redrive(
    connection: Connection,
    source: Source | None,
    connect: Callable[[Entity], Sender],
    *,
    say: Say,
    show: Show = lambda _done, _of: None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Put letters back, an entity's as a feed of its own, after finishing what an earlier redrive was killed in.

    Args:
        connection: of role redrive.
        source: the letters; None only finishes.
        connect: returns a sender to an entity's topic; not called for a dry run.
        say: told what a person should know.
        show: told how many letters of how many are confirmed.
        dry_run: nothing is sent or written.

    Returns:
        what `tieout dlq redrive --json` prints.

    Raises:
        TieoutError: a letter is decided, the broker refuses or is away, or there is nothing in the lake yet.
    """
    begun = time.monotonic()
    topics = {each.name: current_topic(connection, each) for each in load_entities()}
    loaded = [each for each in load_entities() if topics[each.name] is not None]
    if not loaded:
        raise TieoutError("no load has run yet: there are no letters.", NOTHING, "./scripts/tieout run")
    with only_decider(connection):
        entities = (source.check(connection) if source is not None else []) or loaded[:1]
        work = [_Redrive(connection, _new_feed(each, topics[each.name] or ""), say, show) for each in entities]
        if dry_run:
            finished, outcomes = intents.count_unconfirmed(connection), [each.preview(source) for each in work]
        else:
            senders = _connect_all(connect, [*(f.entity for f in intents.open_feeds(connection)), *entities])
            finished = _finish(connection, senders, say)
            outcomes = [each.run(source, senders) for each in work]
    outcome = outcomes[0] if len(outcomes) == 1 else _together(outcomes)
    return outcome | {"finished": finished, "dry_run": dry_run, "seconds": round(time.monotonic() - begun, 3)}


def _new_feed(entity: Entity, topic_id: str) -> Feed:
    run = f"{REDRIVE}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    return Feed(run, topic_id, entity)


def _connect_all(connect: Callable[[Entity], Sender], entities: list[Entity]) -> dict[str, Sender]:
    """Return a sender by entity, each of which the broker has let in: before that nothing is written down."""
    senders: dict[str, Sender] = {}
    for entity in entities:
        if entity.name not in senders:
            senders[entity.name] = connect(entity)
            senders[entity.name].connect()
    return senders


def _finish(connection: Connection, senders: Mapping[str, Sender], say: Say) -> int:
    """Send the intents again that nobody confirmed, and close their feeds."""
    finished = 0
    for feed in intents.open_feeds(connection):
        sender = senders[feed.entity.name]
        for page in intents.unconfirmed(connection, feed.run):
            _send(connection, sender, page)
            finished += len(page)
        _close(connection, sender, feed)
        say(f"feed {feed.run} was left unfinished and is finished now")
    return finished


def _send(connection: Connection, sender: Sender, messages: list[Message]) -> None:
    sent = sender.send(messages)
    failpoints.reach("redrive.before-confirm")
    intents.confirm(connection, sent)


def _close(connection: Connection, sender: Sender, feed: Feed) -> None:
    sender.announce(intents.control_total(connection, feed, closed=True))
    intents.close_feed(connection, feed.run)


def _together(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one outcome for several entities: the counts of all, and of each what came of it."""
    counts = {name: sum(each[name] for each in outcomes) for name in ("bytes_gone", "letters", "unchanged")}
    return {"ok": all(each["ok"] for each in outcomes), "run": None, **counts, "redrives": outcomes}


class _Redrive:
    """The redrive of one entity's letters, holding the lock."""

    def __init__(self, connection: Connection, feed: Feed, say: Say, show: Show) -> None:
        self._connection = connection
        self._feed = feed
        self._say = say
        self._show = show
        self._planner = Planner(feed.run, feed.topic_id, feed.entity)
        self._tally = Tally()

    def preview(self, source: Source | None) -> dict[str, Any]:
        """Judge every letter as the stream and the loader will, and count."""
        gone, feed = 0, self._feed
        with open_forecast(self._connection, feed.entity, feed.topic_id, feed.run) as forecast:
            forecast.add_unfinished()
            if source is not None:
                with source.open(self._connection, feed.entity) as letters:
                    gone = self._told_of_gone(letters)
                    for page in letters.pages:
                        planned = self._plan(page, source)
                        self._tally.add(planned)
                        forecast.add(planned)
            counted, becomes = self._tally.as_json(), forecast.outcome()
        counted["expected"] |= becomes
        return {"ok": not gone, "run": None, "entity": feed.entity.name, "bytes_gone": gone, **counted}

    def run(self, source: Source | None, senders: Mapping[str, Sender]) -> dict[str, Any]:
        """Send what is open."""
        entity = self._feed.entity
        gone, run = 0, None
        if source is not None:
            with source.open(self._connection, entity) as letters:
                gone = self._told_of_gone(letters)
                if letters.count:
                    run = self._feed.run
                    self._send_all(senders[entity.name], letters, source)
        return {"ok": not gone, "run": run, "entity": entity.name, "bytes_gone": gone, **self._tally.as_json()}

    def _send_all(self, sender: Sender, letters: Opened, source: Source) -> None:
        intents.open_feed(self._connection, self._feed, f"{self._book(source)}: {source}", asked_by())
        self._announce(sender)
        announced = time.monotonic()
        for page in letters.pages:
            planned = self._plan(page, source)
            intents.write_intents(self._connection, planned)
            failpoints.reach("redrive.after-intent")
            _send(self._connection, sender, [intent.message() for intent in planned])
            self._tally.add(planned)
            self._show(self._tally.letters, letters.count)
            if time.monotonic() - announced >= SECONDS_BETWEEN:
                self._announce(sender)
                announced = time.monotonic()
        _close(self._connection, sender, self._feed)

    def _book(self, source: Source) -> str:
        return book_of(self._feed.entity, rejected=source.rejected)

    def _plan(self, page: Page, source: Source) -> list[Intent]:
        book = self._book(source)
        return [self._planner.plan(letter, book, is_changed=is_changed) for letter, is_changed in page]

    def _announce(self, sender: Sender) -> None:
        sender.announce(intents.control_total(self._connection, self._feed, closed=False))

    def _told_of_gone(self, letters: Opened) -> int:
        if letters.gone_count:
            named = ", ".join(map(str, letters.gone[:5])) + (" ..." if letters.gone_count > 5 else "")
            self._say(
                f"{letters.gone_count} letters stay open: the lake has their bytes no more, retention has removed them "
                f"({named}). Send them from a file of yours (--from FILE) or write them off."
            )
        return letters.gone_count
