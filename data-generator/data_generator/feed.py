"""The stream of a feed's events: a pure function of its plan, the file and the card-hash key."""

from collections import Counter
from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from data_generator.breaker import Breaker, Item, sound_event
from data_generator.card_row import CardRow
from data_generator.events import PAYMENT, SETTLEMENT, Event
from data_generator.outcomes import SUCCESS
from data_generator.payments import Payment, PaymentMaker
from data_generator.plan import ORIGINAL, Plan
from data_generator.refunds import RefundMaker

# When it is due, the order of equals, what it is, and whether it begins then or has its final status.
_Due = tuple[int, int, Item, bool]


class Feed:
    """Iterates over a plan's events in the order of event time.

    Args:
        rows: opens the file and returns its rows; called again for each loop over the file.
        breaker: of payments; None when nothing is broken on purpose.
        refunds: None when no payment is refunded.
        refund_breaker: of refunds.

    Attributes:
        payments: begun so far; `replayed` of them from the file.
        pending: by entity, how many wait for their settlement; at the end, those that stay PENDING.
    """

    def __init__(
        self,
        plan: Plan,
        rows: Callable[[], Iterator[CardRow]],
        maker: PaymentMaker,
        breaker: Breaker | None,
        *,
        refunds: RefundMaker | None = None,
        refund_breaker: Breaker | None = None,
    ) -> None:
        self._plan = plan
        self._rows = rows
        self._maker = maker
        self._breaker = breaker
        self._refunds = refunds
        self._refund_breaker = refund_breaker
        self._due: list[_Due] = []
        self._order = 0
        self.payments = 0
        self.replayed = 0
        self.pending: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Event]:
        due, breaker, refunds = self._due, self._breaker, self._refunds
        clock = 0
        for payment in self._payments():
            clock = max(clock, payment.occurred)
            while due and due[0][0] <= clock:
                yield from self._next_due()
            kind = breaker.choose() if breaker else None
            self.payments += 1
            if breaker and kind:
                yield from breaker.events(kind, payment)
            else:
                yield sound_event(PAYMENT, payment, payment.fields, 0)
                if refunds is not None and payment.fields["status"] == SUCCESS:
                    self._plan_refunds(refunds, payment, payment.occurred)
            if payment.settles_as is not None:
                self._wait(payment)
        end = self._plan.end
        while due and (end is None or due[0][0] <= end):
            yield from self._next_due()

    def _next_due(self) -> Iterator[Event]:
        """Yield the settlement, or the refund, that is due next."""
        at, _, item, begins = heappop(self._due)
        if begins:
            yield from self._begin(item)
            return
        self.pending[item.entity] -= 1
        yield sound_event(SETTLEMENT, item, item.settlement(), item.settles_after)
        if isinstance(item, Payment) and self._refunds is not None and item.settles_as == SUCCESS:
            self._plan_refunds(self._refunds, item, at)

    def _begin(self, refund: Item) -> Iterator[Event]:
        kind = self._refund_breaker.choose() if self._refund_breaker else None
        if self._refund_breaker and kind:
            yield from self._refund_breaker.events(kind, refund)
        else:
            yield sound_event(PAYMENT, refund, refund.fields, 0)
        if refund.settles_as is not None:
            self._wait(refund)

    def _wait(self, item: Item) -> None:
        self.pending[item.entity] += 1
        self._push(item.occurred + item.settles_after, item, begins=False)

    def _plan_refunds(self, refunds: RefundMaker, payment: Payment, succeeded: int) -> None:
        for refund in refunds.of(payment, succeeded):
            self._push(refund.occurred, refund, begins=True)

    def _push(self, at: int, item: Item, *, begins: bool) -> None:
        self._order += 1
        heappush(self._due, (at, self._order, item, begins))

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
