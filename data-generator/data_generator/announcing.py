"""Tells the topic of control totals what a feed has sent: every ten seconds, and when it ends."""

import time
from collections.abc import Callable
from typing import Protocol

from contracts.control_total import GATEWAY, SECONDS_BETWEEN, ControlTotal
from contracts.model import Contract
from data_generator.book import FeedBook


class Teller(Protocol):
    """What carries a control total: a Delivery."""

    topic_id: str | None

    def tell(self, topic: str, key: bytes, value: bytes) -> bool:
        """Take a word; False when the one before it is still under way."""

    def told(self) -> str | None:
        """Wait for the last word's acknowledgement; return what went wrong."""


class Announcer:
    """Sends a feed's control totals.

    A total is cumulative, so that one which cannot be sent now is not missed: the next one says it too.

    Args:
        book: the feed's own books.
        contract: names the topic, and the currencies' digits.
        teller: carries the totals; None where nothing is sent.

    Attributes:
        closed: the broker has the closing total.
    """

    def __init__(
        self, book: FeedBook, contract: Contract, teller: Teller | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._book = book
        self._digits = dict(contract.currencies)
        self._topic = contract.control_topics[GATEWAY].name
        self._teller = teller
        self._clock = clock
        self._due = clock() + SECONDS_BETWEEN
        self._said = 0
        self.closed = False

    def tick(self) -> None:
        """Send a total when ten seconds have passed and there is something new to say."""
        now = self._clock()
        if self._teller is None or now < self._due:
            return
        self._due = now + SECONDS_BETWEEN
        if self._book.totals.seq > self._said:
            total = self._book.control_total(self._digits, self._teller.topic_id, closed=False)
            if self._teller.tell(self._topic, total.key, total.value()):
                self._said = total.seq

    def farewell(self) -> str | None:
        """Send the closing total and wait for the broker; return what went wrong, None when it has it."""
        if self._teller is None or not self._book.built:
            return None
        problem = send_total(self._teller, self._topic, self.closing())
        self.closed = problem is None
        return problem

    def closing(self) -> ControlTotal:
        """Return the closing total as it is once everything that was built is acknowledged."""
        return self._book.total_of_all(self._digits, self._teller.topic_id if self._teller else None)


def send_total(teller: Teller, topic: str, total: ControlTotal) -> str | None:
    """Send one control total and wait for the broker; return what went wrong, None when it has it."""
    before = teller.told()  # whatever became of the one before it, this one says more
    if not teller.tell(topic, total.key, total.value()):
        return before or "the producer's queue is full"
    return teller.told()
