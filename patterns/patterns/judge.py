"""The three patterns, judged over what was seen so far: pure, and no more than a chunk has touched."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from patterns.rules import CHILD, DEI_NEEDED, UPGRADE, Rules
from patterns.shares import bottom_cut, top_cut
from patterns.state import Merchant, State, Touched
from patterns.weights import Weights


@dataclass(frozen=True, order=True)
class Key:
    """What a detection is about; there is one detection of each.

    Attributes:
        pattern: PatId1, PatId2 or PatId3.
        customer: empty where the pattern is about the merchant.
    """

    pattern: str
    merchant: str
    customer: str


@dataclass(frozen=True)
class Found:
    """A pattern that is true, with its evidence: JSON types, exact numbers as text."""

    key: Key
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Verdicts:
    """What a chunk has changed.

    Attributes:
        new: true for the first time, in order of their keys.
        ended: detected before, and true no longer.
        again: detected before, not true for a while, and true again.
    """

    new: tuple[Found, ...]
    ended: tuple[Key, ...]
    again: tuple[Key, ...]


class Known:
    """The detections so far, and whether each is still true."""

    def __init__(self, holds: Mapping[Key, bool] | None = None) -> None:
        self._holds = dict(holds or {})
        self._by_merchant: dict[tuple[str, str], set[Key]] = {}
        for key in self._holds:
            self._index(key)

    def __len__(self) -> int:
        return len(self._holds)

    def learn(self, state: State, touched: Touched, rules: Rules, weights: Weights) -> Verdicts:
        """Judge what a chunk has touched, and remember it."""
        new, ended, again = list[Found](), list[Key](), list[Key]()
        for name, customers in touched.items():
            found = {each.key: each for each in judge(name, state.merchants[name], customers, rules, weights)}
            for key in self._asked(name, customers):
                if self._holds[key] != (key in found):
                    (again if key in found else ended).append(key)
            new.extend(each for key, each in found.items() if key not in self._holds)
        for each in new:
            self._holds[each.key] = True
            self._index(each.key)
        self._holds |= dict.fromkeys(ended, False) | dict.fromkeys(again, True)
        return Verdicts(tuple(sorted(new, key=lambda each: each.key)), tuple(sorted(ended)), tuple(sorted(again)))

    def _asked(self, merchant: str, customers: set[str]) -> Iterator[Key]:
        """Yield the detections that the judgement of a merchant and some of its customers has judged again."""
        yield from self._by_merchant.get((UPGRADE, merchant), ())
        yield from self._by_merchant.get((DEI_NEEDED, merchant), ())
        for key in self._by_merchant.get((CHILD, merchant), ()):
            if key.customer in customers:
                yield key

    def _index(self, key: Key) -> None:
        self._by_merchant.setdefault((key.pattern, key.merchant), set()).add(key)


def judge(name: str, merchant: Merchant, customers: Iterable[str], rules: Rules, weights: Weights) -> Iterator[Found]:
    """Yield every pattern that is true of a merchant, and of some of its customers.

    Args:
        name: the merchant's.
        merchant: all of it.
        customers: those whose own counts may have changed; the first pattern compares all customers in any case.
    """
    if merchant.count > rules.merchant_above:
        yield from _upgrades(name, merchant, rules, weights)
    for customer in customers:
        pair = merchant.pairs[customer]
        if pair.count >= rules.child_at_least and pair.amount < rules.child_below * pair.count:
            evidence = {"transactions": pair.count, "amount": str(pair.amount)}
            yield Found(Key(CHILD, name, customer), evidence)
    females, males = len(merchant.females), len(merchant.males)
    if rules.females_above < females < males:
        yield Found(Key(DEI_NEEDED, name, ""), {"female_customers": females, "male_customers": males})


def _upgrades(name: str, merchant: Merchant, rules: Rules, weights: Weights) -> Iterator[Found]:
    by_rank: dict[int, Fraction] = {}
    ranks, weighted = list[int](), dict[str, int]()
    for customer in merchant.pairs:
        rank = weights.rank(customer, name)
        if rank is not None:
            ranks.append(rank)
            weighted[customer] = rank
            if rank not in by_rank:
                by_rank[rank] = weights.of(customer, name) or Fraction(0)
    if not ranks:
        return
    least = top_cut([pair.count for pair in merchant.pairs.values()], rules.share, rules.percentile)
    most = bottom_cut([by_rank[rank] for rank in sorted(ranks)], rules.share, rules.percentile)
    for customer, rank in weighted.items():
        pair = merchant.pairs[customer]
        if pair.count >= least and by_rank[rank] <= most:
            evidence = {
                "transactions": pair.count,
                "merchant_transactions": merchant.count,
                "customers": len(merchant.pairs),
                "customers_with_weight": len(ranks),
                "transactions_at_least": str(least),
                "weight": str(by_rank[rank]),
                "weight_at_most": str(most),
            }
            yield Found(Key(UPGRADE, name, customer), evidence)
