"""Tells the topic of control totals what a feed has sent: every ten seconds, and when it ends."""

import time
from collections.abc import Callable
from typing import Protocol

from contracts.control_total import GATEWAY, SECONDS_BETWEEN, ControlTotal
from data_generator.book import FeedBook


class TotalSender(Protocol):
    """What carries a control total: a Delivery."""

    topic_id: str | None

    def send_control_total(self, topic: str, key: bytes, value: bytes) -> bool:
        """Take a word; False when the one before it is still under way."""

    def control_total_sent(self) -> str | None:
        """Wait for the last word's acknowledgement; return what went wrong."""


class ControlTotalSender:
    """Sends a feed's control totals.

    A total is cumulative, so that one which cannot be sent now is not missed: the next one says it too.

    Args:
        book: the feed's own books.
        sender: carries the totals; None where nothing is sent.

    Attributes:
        closed: the broker has the closing total.
    """

    def __init__(self, book: FeedBook, sender: TotalSender | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._book = book
        self._topic = book.entity.platform.control_topics[GATEWAY].name
        self._sender = sender
        self._clock = clock
        self._due = clock() + SECONDS_BETWEEN
        self._said = 0
        self.closed = False

    def tick(self) -> None:
        """Send a total when ten seconds have passed and there is something new to say."""
        now = self._clock()
        if self._sender is None or now < self._due:
            return
        self._due = now + SECONDS_BETWEEN
        if self._book.totals.seq > self._said:
            total = self._book.control_total(self._sender.topic_id, closed=False)
            if self._sender.send_control_total(self._topic, total.key, total.value()):
                self._said = total.seq

    def close(self) -> str | None:
        """Send the closing total and wait for the broker; return what went wrong, None when it has it."""
        if self._sender is None or not self._book.built:
            return None
        problem = send_total(self._sender, self._topic, self.closing())
        self.closed = problem is None
        return problem

    def closing(self) -> ControlTotal:
        """Return the closing total as it is once everything that was built is acknowledged."""
        return self._book.total_of_all(self._sender.topic_id if self._sender else None)


def send_total(sender: TotalSender, topic: str, total: ControlTotal) -> str | None:
    """Send one control total and wait for the broker; return what went wrong, None when it has it."""
    before = sender.control_total_sent()  # whatever became of the one before it, this one says more
    if not sender.send_control_total(topic, total.key, total.value()):
        return before or "the producer's queue is full"
    return sender.control_total_sent()
