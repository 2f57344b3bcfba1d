"""Letters go back: intent, then the message, then the confirmation, a page at a time; killed anywhere, it goes on.

An intent is in PostgreSQL, bytes and headers, before its message is sent. So whatever was under way at a kill is sent
again as it was, under the same feed and number, and the loader takes the first of the two that arrive.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from contracts.control_total import SECONDS_BETWEEN, Money, amounts_as_json
from contracts.model import Contract
from core import failpoints
from core.errors import TieoutError
from warehouse.dlq import intents
from warehouse.dlq.books import Connection, asked_by, current_topic, only_decider
from warehouse.dlq.forecast import open_forecast
from warehouse.dlq.intents import Feed
from warehouse.dlq.plan import Intent, Message, Planner
from warehouse.dlq.selection import NOTHING
from warehouse.dlq.sender import REDRIVE, Sender
from warehouse.dlq.sources import Opened, Page, Source

Say = Callable[[str], None]
Show = Callable[[int, int], None]


@dataclass
class Tally:
    """What a redrive has planned so far, by what will become of it."""

    letters: int = 0
    unchanged: int = 0
    well_formed: int = 0
    malformed: Counter[str] = field(default_factory=Counter)
    amounts: dict[str, Money] = field(default_factory=dict)

    def add(self, planned: list[Intent]) -> None:
        """Count a page."""
        for intent in planned:
            self.letters += 1
            self.unchanged += not intent.is_changed
            self.well_formed += not intent.expected
            self.malformed.update(intent.expected)
            if intent.currency:
                money = Money(1, intent.amount or Decimal(0))
                self.amounts[intent.currency] = self.amounts.get(intent.currency, Money()) + money

    def as_json(self) -> dict[str, Any]:
        """Return the part of the outcome that is about the letters."""
        return {
            "letters": self.letters,
            "unchanged": self.unchanged,
            "expected": {"well_formed": self.well_formed, "malformed": dict(sorted(self.malformed.items()))},
            "amounts": amounts_as_json(self.amounts),
        }


def redrive(
    connection: Connection,
    source: Source | None,
    contract: Contract,
    connect: Callable[[], Sender],
    *,
    say: Say,
    show: Show = lambda _done, _of: None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Put letters back, after finishing what an earlier redrive was killed in.

    Args:
        connection: of role redrive.
        source: the letters; None only finishes.
        contract: what the letters are judged by, and are sent under.
        connect: returns a sender; not called for a dry run.
        say: told what a person should know.
        show: told how many letters of how many are confirmed.
        dry_run: nothing is sent or written.

    Returns:
        what `tieout dlq redrive --json` prints.

    Raises:
        TieoutError: a letter is decided, the broker refuses or is away, or there is nothing in the lake yet.
    """
    begun = time.monotonic()
    topic_id = current_topic(connection)
    if topic_id is None:
        raise TieoutError("no load has run yet: there are no letters.", NOTHING, "./scripts/tieout run")
    run = f"{REDRIVE}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    work = _Redrive(connection, contract, Feed(run, topic_id), say, show)
    with only_decider(connection):
        if source is not None:
            source.check(connection)
        outcome = work.preview(source) if dry_run else work.run(source, connect)
    return outcome | {"dry_run": dry_run, "seconds": round(time.monotonic() - begun, 3)}


class _Redrive:
    """One redrive, holding the lock."""

    def __init__(self, connection: Connection, contract: Contract, feed: Feed, say: Say, show: Show) -> None:
        self._connection = connection
        self._contract = contract
        self._feed = feed
        self._say = say
        self._show = show
        self._planner = Planner(feed.run, feed.topic_id, contract)
        self._tally = Tally()

    def preview(self, source: Source | None) -> dict[str, Any]:
        """Judge every letter as the stream and the loader will, and count."""
        unfinished, gone = intents.count_unconfirmed(self._connection), 0
        with open_forecast(self._connection, self._contract, self._feed.topic_id, self._feed.run) as forecast:
            forecast.add_unfinished()
            if source is not None:
                with source.open(self._connection) as letters:
                    gone = self._told_of_gone(letters)
                    for page in letters.pages:
                        planned = self._plan(page, source.book)
                        self._tally.add(planned)
                        forecast.add(planned)
            counted, becomes = self._tally.as_json(), forecast.outcome()
        counted["expected"] |= becomes
        return {"ok": not gone, "run": None, "finished": unfinished, "bytes_gone": gone, **counted}

    def run(self, source: Source | None, connect: Callable[[], Sender]) -> dict[str, Any]:
        """Finish what is unfinished, then send what is open."""
        sender = connect()
        sender.connect()
        finished = self._finish(sender)
        gone, run = 0, None
        if source is not None:
            with source.open(self._connection) as letters:
                gone = self._told_of_gone(letters)
                if letters.count:
                    run = self._feed.run
                    self._send_all(sender, letters, source)
        return {"ok": not gone, "run": run, "finished": finished, "bytes_gone": gone, **self._tally.as_json()}

    def _finish(self, sender: Sender) -> int:
        """Send the intents again that nobody confirmed, and close their feeds."""
        finished = 0
        for feed in intents.open_feeds(self._connection):
            for page in intents.unconfirmed(self._connection, feed.run):
                self._send(sender, page)
                finished += len(page)
            self._close(sender, feed)
            self._say(f"feed {feed.run} was left unfinished and is finished now")
        return finished

    def _send_all(self, sender: Sender, letters: Opened, source: Source) -> None:
        intents.open_feed(self._connection, self._feed, f"{source.book}: {source}", asked_by())
        self._announce(sender, self._feed, closed=False)
        announced = time.monotonic()
        for page in letters.pages:
            planned = self._plan(page, source.book)
            intents.write_intents(self._connection, planned)
            failpoints.reach("redrive.after-intent")
            self._send(sender, [intent.message() for intent in planned])
            self._tally.add(planned)
            self._show(self._tally.letters, letters.count)
            if time.monotonic() - announced >= SECONDS_BETWEEN:
                self._announce(sender, self._feed, closed=False)
                announced = time.monotonic()
        self._close(sender, self._feed)

    def _plan(self, page: Page, book: str) -> list[Intent]:
        return [self._planner.plan(letter, book, is_changed=is_changed) for letter, is_changed in page]

    def _send(self, sender: Sender, messages: list[Message]) -> None:
        sent = sender.send(messages)
        failpoints.reach("redrive.before-confirm")
        intents.confirm(self._connection, sent)

    def _close(self, sender: Sender, feed: Feed) -> None:
        self._announce(sender, feed, closed=True)
        intents.close_feed(self._connection, feed.run)

    def _announce(self, sender: Sender, feed: Feed, *, closed: bool) -> None:
        sender.announce(intents.control_total(self._connection, feed, self._contract, closed=closed))

    def _told_of_gone(self, letters: Opened) -> int:
        if letters.gone_count:
            named = ", ".join(map(str, letters.gone[:5])) + (" ..." if letters.gone_count > 5 else "")
            self._say(
                f"{letters.gone_count} letters stay open: the lake has their bytes no more, retention has removed them "
                f"({named}). Send them from a file of yours (--from FILE) or write them off."
            )
        return letters.gone_count
