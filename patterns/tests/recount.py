"""The detections of a file, counted again in plain Python by the words of the task; uses nothing of the product.

Slow and simple on purpose: after each chunk every pattern is judged for every customer and merchant.
"""

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Any

Row = dict[str, str]
# pattern, merchant, customer -> the chunk in which it was first true
Detections = dict[tuple[str, str, str], int]


def read(path: Path) -> Iterator[Row]:
    opened = gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="")  # noqa: SIM115
    with opened as file:
        for row in csv.DictReader(file):
            yield {name: value.strip("'") for name, value in row.items()}


def weights_of(rows: Iterable[Row], kind: str) -> dict[Any, Fraction]:
    """kind: pair, customer or types."""
    sums: dict[Any, dict[str, list[Fraction]]] = defaultdict(dict)
    for row in rows:
        owner: Any = (row["Source"], row["Target"]) if kind == "pair" else row["Source"]
        group = row["typeTrans"] if kind == "types" else ""
        sums[owner].setdefault(group, []).append(Fraction(row["Weight"]))
    found = {}
    for owner, groups in sums.items():
        means = [sum(values) / len(values) for values in groups.values()]
        found[owner] = sum(means) / len(means)
    return found


class Recount:
    """thresholds: share, merchant_above, at_least, below, females_above, percentile."""

    def __init__(self, weights: dict[Any, Fraction], thresholds: dict[str, Any]) -> None:
        self.weights, self.thresholds = weights, thresholds
        self.count: Counter[tuple[str, str]] = Counter()
        self.total: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
        self.genders: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self.first: Detections = {}
        self.true_now: set[tuple[str, str, str]] = set()

    def take(self, chunk: int, rows: Iterable[Row]) -> None:
        for row in rows:
            pair = row["merchant"], row["customer"]
            self.count[pair] += 1
            self.total[pair] += Fraction(row["amount"])
            self.genders[row["merchant"], row["gender"]].add(row["customer"])
        self.true_now = set(self._judge())
        for each in self.true_now:
            self.first.setdefault(each, chunk)

    def _judge(self) -> Iterator[tuple[str, str, str]]:
        customers: defaultdict[str, list[str]] = defaultdict(list)
        for merchant, customer in self.count:
            customers[merchant].append(customer)
        for (merchant, customer), count in self.count.items():
            mean_is_low = self.total[merchant, customer] / count < Fraction(self.thresholds["below"])
            if count >= self.thresholds["at_least"] and mean_is_low:
                yield "PatId2", merchant, customer
        for merchant, names in customers.items():
            female, male = (len(self.genders[merchant, gender]) for gender in "FM")
            if female < male and female > self.thresholds["females_above"]:
                yield "PatId3", merchant, ""
            if sum(self.count[merchant, name] for name in names) > self.thresholds["merchant_above"]:
                for name in self._upgraded(merchant, names):
                    yield "PatId1", merchant, name

    def _upgraded(self, merchant: str, names: list[str]) -> Iterator[str]:
        counts = {name: self.count[merchant, name] for name in names}
        weights = {name: weight for name in names if (weight := self._weight(merchant, name)) is not None}
        if self.thresholds["percentile"] == "percent_rank":
            more, less = places(counts.values(), descending=True), places(weights.values(), descending=False)
            share = Fraction(self.thresholds["share"])
            for name in weights:
                if (
                    Fraction(more[counts[name]], max(len(counts) - 1, 1)) <= share
                    and Fraction(less[weights[name]], max(len(weights) - 1, 1)) <= share
                ):
                    yield name
        elif weights:
            least = between(sorted(counts.values()), 1 - Fraction(self.thresholds["share"]))
            most = between(sorted(weights.values()), Fraction(self.thresholds["share"]))
            yield from (name for name in weights if counts[name] >= least and weights[name] <= most)

    def _weight(self, merchant: str, name: str) -> Fraction | None:
        return self.weights.get((name, merchant), self.weights.get(name))


def places(values: Iterable[Any], *, descending: bool) -> dict[Any, int]:
    """How many values come before each value."""
    found: dict[Any, int] = {}
    for place, value in enumerate(sorted(values, reverse=descending)):
        found.setdefault(value, place)
    return found


def between(values: list[Any], part: Fraction) -> Fraction:
    place = part * (len(values) - 1)
    low, high = values[floor(place)], values[ceil(place)]
    return Fraction(low) + (place - floor(place)) * (Fraction(high) - Fraction(low))
