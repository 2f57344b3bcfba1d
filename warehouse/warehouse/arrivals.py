"""What has arrived of a feed, and whether that is what its control total says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from contracts.control_total import Amounts, Money, sum_amounts

Ranges = list[tuple[int, int]]


@dataclass(frozen=True)
class Arrived:
    """Events of a feed: how many without an amount, and money by currency."""

    without_amount: int = 0
    amounts: Mapping[str, Money] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """All of them."""
        return self.without_amount + sum(money.count for money in self.amounts.values())

    def plus(self, others: Iterable["Arrived"]) -> "Arrived":
        """Return the sum."""
        parts = [self, *others]
        return Arrived(sum(p.without_amount for p in parts), sum_amounts(p.amounts for p in parts))

    def minus(self, other: "Arrived") -> "Arrived":
        """Return the difference; currencies of which nothing is left are gone."""
        negative = {c: Money(-m.count, -m.amount) for c, m in other.amounts.items()}
        amounts = sum_amounts([self.amounts, negative])
        return Arrived(self.without_amount - other.without_amount, {c: m for c, m in amounts.items() if m != Money()})


def said(seq: int, amounts: Amounts | None) -> Arrived:
    """Return what a control total says has been sent; one that vouches for the number only says no amounts."""
    held = amounts or {}
    return Arrived(seq - sum(m.count for m in held.values()), {c: m for c, m in held.items() if m != Money()})


def agrees(seq: int, amounts: Amounts | None, arrived: Arrived) -> bool:
    """Say whether a total and what has arrived up to it are equal."""
    return arrived.events == seq if amounts is None else said(seq, amounts).minus(arrived) == Arrived()


def gaps(seen: Iterable[tuple[int, int]], seq: int) -> Ranges:
    """Return the numbers 1 to seq that are not among the seen, as ranges, begin and behind."""
    found, at = [], 1
    for begin, behind in [*sorted(seen), (seq + 1, seq + 1)]:
        if begin > at and at <= seq:
            found.append((at, min(begin, seq + 1)))
        at = max(at, behind)
    return found


def counted(ranges: Iterable[tuple[int, int]]) -> int:
    """Return how many numbers ranges hold that do not overlap."""
    return sum(behind - begin for begin, behind in ranges)
