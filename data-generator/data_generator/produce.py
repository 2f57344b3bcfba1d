"""One run of the gateway: from what the user asked for to the summary of what was sent."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from contracts.errors import TieoutError
from contracts.model import Contract
from data_generator import undelivered
from data_generator.book import FeedBook
from data_generator.breaker import Breaker
from data_generator.card_file import CardFile
from data_generator.cards import CardHolders
from data_generator.delivery import Delivery, producer_settings
from data_generator.dry_run import DryRun
from data_generator.errors import KaggleFileError, StoppedEarlyError, UndeliveredError
from data_generator.feed import Feed
from data_generator.gateway import Channel, Pace, close, send_feed
from data_generator.payments import PaymentMaker
from data_generator.plan import ALL, ORIGINAL, Plan, payments_for_rows
from data_generator.progress import say, showing
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
            f"{file.path} holds no transactions.", "nothing was sent.", "name another file with --kaggle FILE."
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
    stop, contract = around.stop, around.contract
    book = FeedBook(run, contract.version)
    channel: Channel
    error: TieoutError | None = None
    complete = False
    feed = make_feed(plan, file, contract, around.card_hash_key)
    begun = time.monotonic()
    if dry_run:
        channel = dry = DryRun(book.acknowledge)
    else:
        channel = _delivery(around, book.acknowledge)
    with showing(plan.total) as show:
        if dry_run or (isinstance(channel, Delivery) and channel.connect()):
            pace = Pace(0 if dry_run else float(plan.rate), channel.poll, stop)
            try:
                complete = send_feed(feed, book, channel, pace, stop=stop, show=show)
            except TieoutError as failed:
                error = failed
    try:
        close(channel, run, around.undelivered, error, rebuild=rebuild)
    except TieoutError as failed:
        error = failed
    if error is None and not complete and plan.total is not None:
        error = StoppedEarlyError(book.totals.parts["payment"], plan.total)
    summary = _summary(plan, file, feed, book, contract, error=error)
    summary["seconds"] = round(time.monotonic() - begun, 3)
    if dry_run:
        summary |= {"dry_run": True, "events_sha256": dry.digest.hexdigest()}
    return Outcome(summary, error)


def _delivery(around: Surroundings, acknowledged: Callable[[int, int, int], None]) -> Delivery:
    topic = around.contract.topics["transactions"]
    settings = producer_settings(around.bootstrap, around.password, topic.max_message_bytes)
    return Delivery(settings, topic.name, around.stop, acknowledged, say)


def _summary(
    plan: Plan, file: CardFile, feed: Feed, book: FeedBook, contract: Contract, *, error: TieoutError | None
) -> dict[str, Any]:
    totals = book.totals
    saved = error if isinstance(error, UndeliveredError) else None
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
        "undelivered_file": str(saved.file) if saved else None,
        "still_pending": feed.pending,
        "bad_rows": file.bad,
        "broken_on_purpose": dict(sorted(totals.broken.items())),
        "amounts": totals.amounts(dict(contract.currencies)),
        "last_offsets": {str(partition): offset for partition, offset in sorted(totals.last_offsets.items())},
        "dry_run": False,
    }


def resend(file: Path, around: Surroundings) -> Outcome:
    """Send the events of an undelivered file, as they are, and remove it when the broker has them all."""
    count = sum(1 for _ in undelivered.load(file))
    acknowledged: dict[int, int] = {}

    def note(_number: int, partition: int, offset: int) -> None:
        acknowledged[partition] = max(offset, acknowledged.get(partition, -1))

    delivery = _delivery(around, note)
    begun, error, sent = time.monotonic(), None, 0
    try:
        if delivery.connect():
            for number, message in enumerate(undelivered.load(file), 1):
                if not delivery.send(number, message):
                    break
                sent = number
        delivery.finish()
    except TieoutError as failed:
        error = failed
    left = delivery.give_up()
    if sent < count or left:
        left += [message for number, message in enumerate(undelivered.load(file), 1) if number > sent]
        # The old file is replaced in one step: an event that may or may not have arrived stays in it.
        undelivered.save(file.parent, file.name.removesuffix(".jsonl"), left)
        reason = error.what.rstrip(".") if error else "stopped before the broker answered"
        error = UndeliveredError(len(left), file, reason)
    else:
        file.unlink()
    offsets = {str(partition): offset for partition, offset in sorted(acknowledged.items())}
    summary = {
        "ok": error is None,
        "file": str(file),
        "events": count,
        "acknowledged": count - len(left),
        "undelivered": len(left),
        "last_offsets": offsets,
        "seconds": round(time.monotonic() - begun, 3),
    }
    return Outcome(summary, error)
