"""Sends a feed: paced, acknowledged, and with nothing lost when it has to end early."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from contracts.model import PAYMENTS
from core.errors import TieoutError
from data_generator import undelivered
from data_generator.book import FeedBook
from data_generator.control_totals import ControlTotalSender
from data_generator.delivery import Message
from data_generator.errors import BrokerError, ClosingTotalError, SaveError, UndeliveredError
from data_generator.events import PAYMENT, RESEND, Event
from data_generator.progress import Show
from data_generator.stopping import Stop

SHOW_EVERY = 256
LONGEST_WAIT = 0.2
# librdkafka waits in whole milliseconds and takes less for none: at a high rate, payments go in small groups.
SHORTEST_WAIT = 0.005


class Channel(Protocol):
    """Where messages go: a Delivery, or a DryRun."""

    @property
    def waiting(self) -> int:
        """Messages not acknowledged yet."""

    def send(self, number: int, message: Message) -> bool:
        """Take a message; False when stopped before."""

    def poll(self, seconds: float) -> None:
        """Serve acknowledgements for a while."""

    def finish(self) -> None:
        """Wait until all is acknowledged."""

    def give_up(self) -> list[Message]:
        """Return what is not acknowledged."""


class Pace:
    """Holds events back until they are due: R payments a second; 0 never waits."""

    def __init__(self, rate: float, wait: Callable[[float], None], stop: Stop) -> None:
        self._rate = rate
        self._wait = wait
        self._stop = stop
        self._begun = time.monotonic()
        self.payments = 0

    def hold(self, event: Event) -> None:
        """Wait until the event is due, or until stopped."""
        # A settlement lies before the next payment in event time and is due no earlier than that one, so that no
        # status is sent before it is reached. A re-send follows at once.
        if self._rate and event.part != RESEND:
            due = self._begun + self.payments / self._rate
            while (left := due - time.monotonic()) > 0 and not self._stop.requested:
                self._wait(min(max(left, SHORTEST_WAIT), LONGEST_WAIT))
        self.payments += event.part == PAYMENT and event.entity == PAYMENTS


@dataclass
class Lane:
    """One entity's feed on its way: its books and where its messages go."""

    book: FeedBook
    channel: Channel


def send_feed(
    feed: Iterable[Event],
    lanes: Mapping[str, Lane],
    pace: Pace,
    *,
    stop: Stop,
    show: Show,
    note: Callable[[Event], None],
) -> bool:
    """Send the events of a run in order; False when stopped before its end.

    Args:
        lanes: by entity; the first is the payments'.
        note: told of each event that is under way; one that nobody took is not.

    Raises:
        TieoutError: the broker refuses, or the file behind the feed breaks off.
    """
    payments = next(iter(lanes.values()))
    for event in feed:
        pace.hold(event)
        if stop.requested:
            return False
        book, channel = lanes[event.entity].book, lanes[event.entity].channel
        number, message = book.enter(event)
        try:
            taken = channel.send(number, message)
        except Exception:  # it has its number, and is saved as undelivered
            note(event)
            raise
        if not taken:
            book.withdraw()
            return False
        note(event)
        if number % SHOW_EVERY == 0 or pace.payments < SHOW_EVERY:
            show(pace.payments, number, channel.waiting)
    show(pace.payments, payments.book.built, payments.channel.waiting)
    return True


def close(
    channel: Channel,
    file: Path,
    error: TieoutError | None,
    *,
    rebuild: str,
    totals_sender: ControlTotalSender,
) -> None:
    """Wait for what is under way and save what cannot be delivered.

    Args:
        file: where undelivered events are saved.
        error: what ended the run, if anything did.
        rebuild: the words for building the same events again, for the case that they cannot be saved.
        totals_sender: sends the closing control total once every event is acknowledged.

    Raises:
        UndeliveredError: events were saved to a file.
        ClosingTotalError: only the closing control total was.
        SaveError: they could not even be saved.
        TieoutError: `error`, when nothing is undelivered.
    """
    try:
        if not isinstance(error, BrokerError):
            channel.finish()
    except BrokerError as refused:
        error = refused
    silent = None if channel.waiting else totals_sender.close()
    left = channel.give_up()
    if left or silent:
        reason = silent or (error.what.rstrip(".") if error else "stopped before the broker answered")
        try:
            undelivered.save(file, left, totals_sender.closing())
        except OSError as failed:
            raise SaveError(len(left), file, failed.strerror or str(failed), rebuild) from None
        raise UndeliveredError(len(left), file, reason) if left else ClosingTotalError(file, reason)
    if error is not None:
        raise error
