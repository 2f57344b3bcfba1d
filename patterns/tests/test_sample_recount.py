"""The sample by every share, weight and way, chunk by chunk, against the recount."""

from decimal import Decimal
from itertools import islice
from typing import Any

import pytest
from recount import Recount, Row, read, weights_of

from core.layout import CHECKOUT
from patterns.judge import Known
from patterns.rules import Rules, load_rules
from patterns.state import Group, State
from patterns.weights import WeightSum, make_weights

SAMPLE = CHECKOUT / "data" / "samples" / "banksim"
SIZE = 10_000


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(read(SAMPLE / "transactions.csv.gz"))


@pytest.fixture(scope="module")
def importance() -> list[Row]:
    return list(read(SAMPLE / "CustomerImportance.csv.gz"))


def compare(rows: list[Row], importance: list[Row], share: str, way: Any, kind: Any) -> dict[str, int]:
    asked = Rules(**{**vars(load_rules()), "share": Decimal(share), "percentile": way, "weight": kind})
    sums = (WeightSum(r["Source"], r["Target"], r["typeTrans"], Decimal(r["Weight"]), 1) for r in importance)
    ours, state, known = make_weights(sums, kind), State(), Known()
    thresholds = {
        "share": share,
        "merchant_above": 50_000,
        "at_least": 80,
        "below": "23",
        "females_above": 100,
        "percentile": way,
    }
    again, found, each = Recount(weights_of(importance, kind), thresholds), {}, iter(rows)
    for chunk in range(1, len(rows) // SIZE + 2):
        part = list(islice(each, SIZE))
        groups = (Group(r["merchant"], r["customer"], r["gender"], 1, Decimal(r["amount"])) for r in part)
        verdicts = known.learn(state, state.add(groups), asked, ours)
        found |= {(new.key.pattern, new.key.merchant, new.key.customer): chunk for new in verdicts.new}
        again.take(chunk, part)
    assert found == again.first
    return {name: sum(key[0] == name for key in found) for name in ("PatId1", "PatId2", "PatId3")}


def test_the_sample_by_the_rules_as_they_are(rows: list[Row], importance: list[Row]) -> None:
    found = compare(rows, importance, "0.01", "percent_rank", "pair")
    assert found["PatId2"] > 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pair", "customer", "types"])
@pytest.mark.parametrize("way", ["percent_rank", "interpolated"])
@pytest.mark.parametrize("share", ["0.01", "0.10"])
def test_the_sample_by_every_reading(rows: list[Row], importance: list[Row], share: str, way: str, kind: str) -> None:
    found = compare(rows, importance, share, way, kind)
    assert share == "0.01" or found["PatId1"] > 0
