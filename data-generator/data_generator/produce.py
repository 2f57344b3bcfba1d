"""One run of the gateway: from what the user asked for to the summary of what was sent."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from contracts.model import Contract
from core.errors import TieoutError
from core.text import shown
from data_generator.announcing import Announcer
from data_generator.book import FeedBook
from data_generator.breaker import Breaker
from data_generator.card_file import CardFile
from data_generator.cards import CardHolders
from data_generator.delivery import Delivery, producer_settings
from data_generator.dry_run import DryRun
from data_generator.errors import (
    BrokenFeedError,
    BrokerError,
    ClosingTotalError,
    KaggleFileError,
    StoppedEarlyError,
    UndeliveredError,
)
from data_generator.events import Event
from data_generator.feed import Feed
from data_generator.gateway import Pace, close, send_feed
from data_generator.payments import PaymentMaker
from data_generator.plan import ALL, ORIGINAL, Plan, payments_for_rows
from data_generator.progress import say, showing
from data_generator.statement import Statement
from data_generator.stopping import Stop
from data_generator.world import make_world


@dataclass(frozen=True)
class Surroundings:
    """What a run is given: nothing below reads a clock's date, the environment or a settings file by itself."""

    contract: Contract
    bootstrap: str
    password: str
    card_hash_key: str
    undelivered: Path
    stop: Stop
    statements: Path | None = None


@dataclass
class Outcome:
    """A run's summary, and what ended it early, if anything did."""

    summary: dict[str, Any]
    error: TieoutError | None


def resolve_total(asked: int | str | None, timeline: str, file: CardFile, mix: Fraction) -> int | None:
    """Return how many payments a run has: `all` is as many as hold the file once; None is endless.

    Raises:
        KaggleFileError: payments are to be replayed from a file without rows.
    """
    once = payments_for_rows(file.good, mix) if mix else None
    if once is not None and (asked == ALL or timeline == ORIGINAL):
        return once if not isinstance(asked, int) else min(once, asked)
    if mix and file.good == 0:
        raise KaggleFileError(
            f"{shown(file.path)} holds no transactions.", "nothing was sent.", "name another file with --kaggle FILE."
        )
    return asked if isinstance(asked, int) else None


def make_feed(plan: Plan, file: CardFile, contract: Contract, card_hash_key: str) -> Feed:
    """Return the feed of a plan: the same for the same plan, file and key."""
    maker = PaymentMaker(plan.feed, make_world(), CardHolders(card_hash_key), plan.settles_within)
    breaker = Breaker(contract, float(plan.faults), plan.seed) if plan.faults else None
    return Feed(plan, file.rows, maker, breaker)


def produce(plan: Plan, file: CardFile, run: str, around: Surroundings, *, dry_run: bool, rebuild: str) -> Outcome:
    """Build and send a feed.

    Args:
        run: the feed's id, new for every run.
        rebuild: the words that build the same feed again, for error messages.
    """
    book = FeedBook(run, around.contract.version)
    feed = make_feed(plan, file, around.contract, around.card_hash_key)
    begun = time.monotonic()
    dry = DryRun(book.acknowledge) if dry_run else None
    channel = dry or open_delivery(around, book.acknowledge)
    statement = _open_statement(around) if not dry_run else None
    announcer = Announcer(book, around.contract, None if isinstance(channel, DryRun) else channel)
    if isinstance(channel, Delivery):
        channel.on_poll = announcer.tick
    complete, error = _send(feed, book, channel, plan, stop=around.stop, statement=statement)
    rest = around.undelivered / f"{run}.jsonl"
    try:
        close(channel, rest, error, rebuild=rebuild, announcer=announcer)
    except TieoutError as failed:
        error = failed
    seconds = time.monotonic() - begun
    if statement is not None:
        statement.close()
    if error is None and not complete and plan.total is not None:
        error = StoppedEarlyError(book.totals.parts["payment"], plan.total)
    error = error or (statement.error if statement else None)
    summary = _summary(plan, file, feed, book, around.contract, error=error)
    summary["closed"] = announcer.closed
    summary["seconds"] = round(seconds, 3)
    if statement is not None:
        took = round(time.monotonic() - begun - seconds, 3)
        summary["statements"] = {"folder": str(statement.folder), "days": len(statement.days), "seconds": took}
    if dry:
        summary |= {"dry_run": True, "acknowledged": 0, "last_offsets": {}, "events_sha256": dry.digest.hexdigest()}
    return Outcome(summary, error)


def _send(
    feed: Feed,
    book: FeedBook,
    channel: Delivery | DryRun,
    plan: Plan,
    *,
    stop: Stop,
    statement: Statement | None,
) -> tuple[bool, TieoutError | None]:
    rate = float(plan.rate) if isinstance(channel, Delivery) else 0
    with showing(plan.total) as show:
        try:
            if isinstance(channel, Delivery) and not channel.connect():
                return False, None
            note = statement.note if statement else _nothing
            pace = Pace(rate, channel.poll, stop)
            return send_feed(feed, book, channel, pace, stop=stop, show=show, note=note), None
        except BrokerError as error:
            return False, error
        except Exception as error:  # whatever it is, what was sent has to be closed in order
            return False, BrokenFeedError(book.built, error)


def _nothing(_event: Event) -> None:
    pass


def _open_statement(around: Surroundings) -> Statement | None:
    if around.statements is None:
        return None
    return Statement(around.statements, dict(around.contract.currencies), say)


def open_delivery(around: Surroundings, acknowledged: Callable[[int, int, int], None]) -> Delivery:
    """Return a delivery to the topic of transactions; nothing is sent before it is connected.

    Raises:
        BrokerError: the address or the password is none that a client takes.
    """
    topic = around.contract.topics["transactions"]
    settings = producer_settings(around.bootstrap, around.password, topic.max_message_bytes)
    try:
        return Delivery(settings, topic.name, around.stop, acknowledged, say)
    except (KafkaException, SystemError, TypeError, ValueError) as error:
        raise BrokerError(
            f"the Kafka client does not take its settings (KAFKA_BOOTSTRAP is {shown(around.bootstrap)}): {error}.",
            "nothing was sent.",
            "./scripts/tieout doctor",
        ) from None


def _summary(
    plan: Plan, file: CardFile, feed: Feed, book: FeedBook, contract: Contract, *, error: TieoutError | None
) -> dict[str, Any]:
    totals = book.totals
    saved = error if isinstance(error, UndeliveredError) else None
    file_left = error.file if isinstance(error, UndeliveredError | ClosingTotalError) else None
    return {
        "ok": error is None,
        "run": book.run,
        "seed": plan.seed,
        "timeline": plan.timeline,
        "payments": totals.parts["payment"],
        "replayed": feed.replayed,
        "settlements": totals.parts["settlement"],
        "resends": totals.parts["resend"],
        "events": book.built,
        "acknowledged": totals.events,
        "undelivered": saved.count if saved else 0,
        "undelivered_file": str(file_left) if file_left else None,
        "still_pending": feed.pending,
        "bad_rows": file.bad,
        "broken_on_purpose": dict(sorted(totals.broken.items())),
        "amounts": totals.amounts(dict(contract.currencies)),
        "last_offsets": {str(partition): offset for partition, offset in sorted(totals.last_offsets.items())},
        "dry_run": False,
    }
