"""Weights of customers: exact means over the rows of the importance file, and how many there are of each."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

from patterns.rules import Weight


@dataclass(frozen=True)
class WeightSum:
    """The rows of one customer, merchant and type."""

    customer: str
    merchant: str
    kind: str
    total: Decimal
    count: int


# Customer and merchant; the merchant is empty where the weight is the customer's with all of them.
Owner = tuple[str, str]


@dataclass(frozen=True)
class Weights:
    """The weight of each customer, with a merchant or with all of them.

    Attributes:
        is_by_pair: whether each merchant has its own.
        values: exact.
    """

    is_by_pair: bool
    values: Mapping[Owner, Fraction]

    @cached_property
    def _ranks(self) -> Mapping[Owner, int]:
        """Whole numbers in the order of the weights, which compare much faster."""
        order = {value: rank for rank, value in enumerate(sorted(set(self.values.values())))}
        return {owner: order[value] for owner, value in self.values.items()}

    def of(self, customer: str, merchant: str) -> Fraction | None:
        """Return a weight; None where there is none."""
        return self.values.get(self._owner(customer, merchant))

    def rank(self, customer: str, merchant: str) -> int | None:
        """Return a number that compares with others as their weights do; None where there is no weight."""
        return self._ranks.get(self._owner(customer, merchant))

    def prepare(self) -> None:
        """Sort now, so that the first judgement is as quick as the others."""
        _ = self._ranks

    def _owner(self, customer: str, merchant: str) -> Owner:
        return customer, merchant if self.is_by_pair else ""


def make_weights(sums: Iterable[WeightSum], kind: Weight) -> Weights:
    """Return the weights of one kind.

    Args:
        sums: of the importance file, in any order and any number of parts.
        kind: as `rules.yaml` says.
    """
    by_type: defaultdict[Owner, defaultdict[str, list[Fraction]]] = defaultdict(
        lambda: defaultdict(lambda: [Fraction(0), Fraction(0)])
    )
    for each in sums:
        owner = (each.customer, each.merchant if kind == "pair" else "")
        found = by_type[owner][each.kind if kind == "types" else ""]
        found[0] += Fraction(each.total)
        found[1] += each.count
    values = {
        owner: sum((total / count for total, count in types.values()), Fraction(0)) / len(types)
        for owner, types in by_type.items()
    }
    return Weights(kind == "pair", values)
