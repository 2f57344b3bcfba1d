"""The stream of a feed's events: a pure function of its plan, the file and the card-hash key."""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from data_generator.breaker import Breaker, sound_event
from data_generator.card_row import CardRow
from data_generator.events import PAYMENT, SETTLEMENT, Event
from data_generator.payments import Payment, PaymentMaker
from data_generator.plan import ORIGINAL, Plan


class Feed:
    """Iterates over a plan's events in the order of event time.

    Args:
        rows: opens the file and returns its rows; called again for each loop over the file.
        breaker: None when nothing is broken on purpose.

    Attributes:
        payments: begun so far; `replayed` of them from the file.
        pending: payments that wait for their settlement; at the end, those that stay PENDING.
    """

    def __init__(
        self, plan: Plan, rows: Callable[[], Iterator[CardRow]], maker: PaymentMaker, breaker: Breaker | None
    ) -> None:
        self._plan = plan
        self._rows = rows
        self._maker = maker
        self._breaker = breaker
        self._due: list[tuple[int, int, Payment]] = []
        self.payments = 0
        self.replayed = 0

    @property
    def pending(self) -> int:
        """Payments whose settlement has not been made yet."""
        return len(self._due)

    def __iter__(self) -> Iterator[Event]:
        due, breaker = self._due, self._breaker
        clock = 0
        for payment in self._payments():
            clock = max(clock, payment.occurred)
            while due and due[0][0] <= clock:
                yield _settlement(heappop(due)[2])
            kind = breaker.choose() if breaker else None
            self.payments += 1
            if breaker and kind:
                yield from breaker.events(kind, payment)
            else:
                yield sound_event(PAYMENT, payment, payment.fields, 0)
            if payment.settles_as is not None:
                heappush(due, (payment.occurred + payment.settles_after, self.payments, payment))
        end = self._plan.end
        while due and (end is None or due[0][0] <= end):
            yield _settlement(heappop(due)[2])

    def _payments(self) -> Iterator[Payment]:
        return self._original() if self._plan.timeline == ORIGINAL else self._retimed()

    def _kinds(self) -> Iterator[tuple[int, bool]]:
        """Yield each payment's number and whether it is replayed, so that every stretch holds the mix."""
        number, carry, up, down = 0, 0, self._plan.mix.numerator, self._plan.mix.denominator
        while self._plan.total is None or number < self._plan.total:
            carry += up
            if carry >= down:
                carry -= down
                yield number, True
            else:
                yield number, False
            number += 1

    def _retimed(self) -> Iterator[Payment]:
        occurs_at, rows, maker = self._plan.occurs_at(), self._looped(), self._maker
        for number, replayed in self._kinds():
            if replayed:
                loop, row = next(rows)
                self.replayed += 1
                yield maker.replayed(row, loop, occurs_at(number))
            else:
                yield maker.made(number, occurs_at(number))

    def _looped(self) -> Iterator[tuple[int, CardRow]]:
        loop = 0
        while True:
            for row in self._rows():
                yield loop, row
            loop += 1

    def _original(self) -> Iterator[Payment]:
        """Yield each row once; made payments take the time of the row before them (the first, of the row behind)."""
        rows = self._rows()
        ahead = next(rows, None)
        clock = ahead.occurred if ahead else 0
        for number, replayed in self._kinds():
            if not replayed:
                yield self._maker.made(number, clock)
            elif ahead is None:
                return
            else:
                self.replayed += 1
                clock = ahead.occurred
                yield self._maker.original(ahead)
                ahead = next(rows, None)


def _settlement(payment: Payment) -> Event:
    return sound_event(SETTLEMENT, payment, payment.settlement(), payment.settles_after)
