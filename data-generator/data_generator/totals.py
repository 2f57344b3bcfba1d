"""The feed's own books: what it sent, counted exactly. They are what control totals are made of."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from contracts.control_total import Money
from data_generator.events import Event
from data_generator.money import amount_text


@dataclass
class FeedTotals:
    """Counts and amounts of the events that were added.

    Attributes:
        events: all of them.
        seq: the number of the last one; with no hole before it when added in order.
        parts: events by part: payment, settlement, resend.
        counts: well-formed events by currency (sound ones and those that only break a business rule).
        units: the sum of their amounts in minor units, by currency.
        broken: events broken on purpose, by kind.
        last_offsets: the last acknowledged offset, by partition.
    """

    events: int = 0
    seq: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    last_offsets: dict[int, int] = field(default_factory=dict)

    def add(self, seq: int, event: Event) -> None:
        """Count one event."""
        self.events += 1
        self.seq = seq
        self.parts[event.part] += 1
        if event.currency is not None:
            self.counts[event.currency] += 1
            self.units[event.currency] += event.units
        if event.fault is not None:
            self.broken[event.fault] += 1

    def acknowledged(self, partition: int, offset: int) -> None:
        """Note where the broker put an event."""
        if offset > self.last_offsets.get(partition, -1):
            self.last_offsets[partition] = offset

    def amounts(self, minor_digits: dict[str, int]) -> dict[str, dict[str, int | str]]:
        """Return count and exact amount (text, major units) by currency."""
        return {
            currency: {"count": count, "amount": amount_text(self.units[currency], minor_digits[currency])}
            for currency, count in sorted(self.counts.items())
        }

    def money(self, minor_digits: Mapping[str, int]) -> dict[str, Money]:
        """Return the same as a control total holds it."""
        return {
            currency: Money(count, Decimal(self.units[currency]).scaleb(-minor_digits[currency]))
            for currency, count in self.counts.items()
        }
