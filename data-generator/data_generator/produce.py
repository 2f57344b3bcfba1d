"""One run of the gateway: from what the user asked for to the summary of what was sent."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from contracts.model import PAYMENTS, Entity
from core.errors import TieoutError
from core.kafka_certificates import certificate_trouble
from core.kafka_login import KafkaPlace
from core.text import shown
from data_generator.book import FeedBook
from data_generator.breaker import Breaker
from data_generator.card_file import CardFile
from data_generator.cards import CardHolders
from data_generator.control_totals import ControlTotalSender
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
from data_generator.gateway import Lane, Pace, close, send_feed
from data_generator.payments import PaymentMaker
from data_generator.plan import ALL, ORIGINAL, Plan, payments_for_rows
from data_generator.progress import say, showing
from data_generator.refunds import REFUNDS, RefundMaker
from data_generator.statement import Statement
from data_generator.stopping import Stop
from data_generator.world import make_world


@dataclass(frozen=True)
class Context:
    """What a run is given: nothing below reads a clock's date, the environment or a settings file by itself."""

    entities: Mapping[str, Entity]
    broker: KafkaPlace
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


def make_feed(plan: Plan, file: CardFile, entities: Mapping[str, Entity], card_hash_key: str) -> Feed:
    """Return the feed of a plan: the same for the same plan, file and key."""
    maker = PaymentMaker(plan.feed, make_world(), CardHolders(card_hash_key), plan.settles_within)
    payments, refunds = (
        Breaker(entities[name], float(plan.faults), plan.seed) if plan.faults else None for name in (PAYMENTS, REFUNDS)
    )
    if not plan.refunds:
        return Feed(plan, file.rows, maker, payments)
    return Feed(
        plan,
        file.rows,
        maker,
        payments,
        refunds=RefundMaker(plan.feed, float(plan.refunds), plan.refunds_within),
        refund_breaker=refunds,
    )


@dataclass
class _Sending(Lane):
    """A lane with what ends it.

    Attributes:
        totals_sender: sends its control totals.
        file: where events that could not be delivered are saved.
    """

    entity: Entity
    totals_sender: ControlTotalSender
    file: Path


def produce(plan: Plan, file: CardFile, run: str, context: Context, *, dry_run: bool, rebuild: str) -> Outcome:
    """Build and send the feeds of a run: the payments', and the refunds' where there are any.

    Args:
        run: the id of the payments' feed, new for every run.
        rebuild: the words that build the same feeds again, for error messages.
    """
    feed = make_feed(plan, file, context.entities, context.card_hash_key)
    begun = time.monotonic()
    lanes = {PAYMENTS: _lane(context, PAYMENTS, run, dry_run=dry_run)}
    if plan.refunds:
        lanes[REFUNDS] = _lane(context, REFUNDS, f"{run}-refunds", dry_run=dry_run)
    payments = lanes[PAYMENTS]
    statement = _open_statement(context) if not dry_run else None
    complete, error = _send(feed, lanes, plan, stop=context.stop, statement=statement)
    ended_by = {name: _close(lane, _of_lane(lane, error), rebuild) for name, lane in lanes.items()}
    seconds = time.monotonic() - begun
    if statement is not None:
        statement.close()
    error = _first(ended_by) or error
    if error is None and not complete and plan.total is not None:
        error = StoppedEarlyError(payments.book.totals.parts["payment"], plan.total)
    error = error or (statement.error if statement else None)
    summary = _summary(plan, file, feed, payments, error=error, ended_by=ended_by[PAYMENTS])
    summary["seconds"] = round(seconds, 3)
    if statement is not None:
        took = round(time.monotonic() - begun - seconds, 3)
        summary["statements"] = {"folder": str(statement.folder), "days": len(statement.days), "seconds": took}
    if isinstance(payments.channel, DryRun):
        summary |= {
            "dry_run": True,
            "acknowledged": 0,
            "last_offsets": {},
            "events_sha256": payments.channel.digest.hexdigest(),
        }
    if REFUNDS in lanes:
        summary["refunds"] = _of_refunds(feed, lanes[REFUNDS], ended_by[REFUNDS])
    return Outcome(summary, error)


def _lane(context: Context, name: str, run: str, *, dry_run: bool) -> _Sending:
    entity = context.entities[name]
    book = FeedBook(run, entity)
    channel = DryRun(book.acknowledge) if dry_run else open_delivery(context, entity, book.acknowledge)
    totals_sender = ControlTotalSender(book, None if isinstance(channel, DryRun) else channel)
    if isinstance(channel, Delivery):
        channel.on_poll = totals_sender.tick
    return _Sending(book, channel, entity, totals_sender, context.undelivered / f"{run}.jsonl")


def _of_lane(lane: _Sending, error: TieoutError | None) -> TieoutError | None:
    """Return what ended the run, where it is this feed's: what a broker refuses on one topic it may take on another."""
    is_anothers = isinstance(error, BrokerError) and isinstance(lane.channel, Delivery) and not lane.channel.is_refused
    return None if is_anothers else error


def _close(lane: _Sending, error: TieoutError | None, rebuild: str) -> TieoutError | None:
    """End one feed in order; return what ended it early, if anything did."""
    try:
        close(lane.channel, lane.file, error, rebuild=rebuild, totals_sender=lane.totals_sender)
    except TieoutError as failed:
        return failed
    except Exception as failed:  # the other feed is still to be ended
        return BrokenFeedError(lane.book.built, failed)
    return None


def _first(ended_by: Mapping[str, TieoutError | None]) -> TieoutError | None:
    """Return the error of the run; of a second feed that was left with a file of its own, people are told beside."""
    errors = [error for error in ended_by.values() if error is not None]
    for error in errors[1:]:
        if isinstance(error, UndeliveredError | ClosingTotalError):
            say(str(error))
    return errors[0] if errors else None


def _send(
    feed: Feed, lanes: Mapping[str, _Sending], plan: Plan, *, stop: Stop, statement: Statement | None
) -> tuple[bool, TieoutError | None]:
    deliveries = [lane.channel for lane in lanes.values() if isinstance(lane.channel, Delivery)]
    rate = float(plan.rate) if deliveries else 0
    payments = lanes[PAYMENTS]

    def poll(seconds: float) -> None:
        for lane in lanes.values():
            lane.channel.poll(seconds if lane is payments else 0)

    with showing(plan.total) as show:
        try:
            if not all(delivery.connect() for delivery in deliveries):
                return False, None
            note = statement.note if statement else _nothing
            return send_feed(feed, lanes, Pace(rate, poll, stop), stop=stop, show=show, note=note), None
        except BrokerError as error:
            return False, error
        except Exception as error:  # whatever it is, what was sent has to be closed in order
            return False, BrokenFeedError(payments.book.built, error)


def _nothing(_event: Event) -> None:
    pass


def _open_statement(context: Context) -> Statement | None:
    if context.statements is None:
        return None
    return Statement(context.statements, dict(context.entities[PAYMENTS].currencies), say)


def open_delivery(context: Context, entity: Entity, acknowledged: Callable[[int, int, int], None]) -> Delivery:
    """Return a delivery to an entity's topic; nothing is sent before it is connected.

    Raises:
        BrokerError: the address or the password is none that a client takes.
    """
    topic = entity.topic
    settings = producer_settings(context.broker, context.password, topic.max_message_bytes)
    certificate = partial(certificate_trouble, context.broker, "gateway")
    try:
        return Delivery(settings, topic.name, context.stop, acknowledged, say, certificate=certificate)
    except (KafkaException, SystemError, TypeError, ValueError) as error:
        address = shown(context.broker.bootstrap)
        raise BrokerError(
            f"the Kafka client does not take its settings (KAFKA_BOOTSTRAP is {address}): {error}.",
            "nothing was sent.",
            "./scripts/tieout doctor",
        ) from None


def _summary(
    plan: Plan, file: CardFile, feed: Feed, lane: _Sending, *, error: TieoutError | None, ended_by: TieoutError | None
) -> dict[str, Any]:
    return {
        "ok": error is None,
        "run": lane.book.run,
        "seed": plan.seed,
        "timeline": plan.timeline,
        "payments": lane.book.totals.parts["payment"],
        "replayed": feed.replayed,
        **_sent(lane, ended_by),
        "still_pending": feed.pending[PAYMENTS],
        "bad_rows": file.bad,
        **_amounts(lane),
        "dry_run": False,
        "closed": lane.totals_sender.closed,
    }


def _of_refunds(feed: Feed, lane: _Sending, ended_by: TieoutError | None) -> dict[str, Any]:
    return {
        "run": lane.book.run,
        "refunds": lane.book.totals.parts["payment"],
        **_sent(lane, ended_by),
        "still_pending": feed.pending[REFUNDS],
        **_amounts(lane),
        "closed": lane.totals_sender.closed,
        **({"events_sha256": lane.channel.digest.hexdigest()} if isinstance(lane.channel, DryRun) else {}),
    }


def _sent(lane: _Sending, ended_by: TieoutError | None) -> dict[str, Any]:
    totals = lane.book.totals
    file_left = ended_by.file if isinstance(ended_by, UndeliveredError | ClosingTotalError) else None
    return {
        "settlements": totals.parts["settlement"],
        "resends": totals.parts["resend"],
        "events": lane.book.built,
        "acknowledged": totals.events,
        "undelivered": ended_by.count if isinstance(ended_by, UndeliveredError) else 0,
        "undelivered_file": str(file_left) if file_left else None,
    }


def _amounts(lane: _Sending) -> dict[str, Any]:
    totals = lane.book.totals
    return {
        "broken_on_purpose": dict(sorted(totals.broken.items())),
        "amounts": totals.amounts(dict(lane.entity.currencies)),
        "last_offsets": {str(partition): offset for partition, offset in sorted(totals.last_offsets.items())},
    }
