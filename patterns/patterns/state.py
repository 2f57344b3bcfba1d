"""What was seen so far, per merchant: transactions and amounts by customer, and distinct customers by gender."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

FEMALE, MALE = "F", "M"


@dataclass(frozen=True, slots=True)
class Group:
    """The transactions of one customer with one merchant under one gender.

    Attributes:
        gender: M, F, E (enterprise) or U (unknown).
        amount: their sum.
    """

    merchant: str
    customer: str
    gender: str
    count: int
    amount: Decimal


@dataclass(slots=True)
class Pair:
    """A customer with a merchant."""

    count: int = 0
    amount: Decimal = Decimal(0)


@dataclass(slots=True)
class Merchant:
    """A merchant with its customers."""

    count: int = 0
    pairs: dict[str, Pair] = field(default_factory=dict)
    females: set[str] = field(default_factory=set)
    males: set[str] = field(default_factory=set)


# The customers of each merchant that a chunk has said something about.
Touched = dict[str, set[str]]


class State:
    """Everything seen so far."""

    def __init__(self, groups: Iterable[Group] = ()) -> None:
        self.merchants: defaultdict[str, Merchant] = defaultdict(Merchant)
        self.add(groups)

    def add(self, groups: Iterable[Group]) -> Touched:
        """Count more transactions; return whom they are about."""
        touched: defaultdict[str, set[str]] = defaultdict(set)
        for group in groups:
            merchant = self.merchants[group.merchant]
            pair = merchant.pairs.get(group.customer)
            if pair is None:
                pair = merchant.pairs[group.customer] = Pair()
            pair.count += group.count
            pair.amount += group.amount
            merchant.count += group.count
            if group.gender == FEMALE:
                merchant.females.add(group.customer)
            elif group.gender == MALE:
                merchant.males.add(group.customer)
            touched[group.merchant].add(group.customer)
        return dict(touched)
