"""The three patterns over everything seen so far, against a recount that shares nothing with them."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recount import Recount, weights_of

from core.errors import TieoutError
from patterns.judge import Key, Known
from patterns.rules import OWN, Rules, load_rules
from patterns.shares import bottom_cut, top_cut
from patterns.state import Group, State
from patterns.weights import Weights, WeightSum, make_weights

KINDS = ["pair", "customer", "types"]
WAYS = ["percent_rank", "interpolated"]


def rules(**changed: Any) -> Rules:
    small = {"share": Decimal("0.34"), "merchant_above": 3, "child_at_least": 2, "females_above": 1}
    return Rules(**{**vars(load_rules()), **small, **changed})


def group(row: dict[str, str]) -> Group:
    return Group(row["merchant"], row["customer"], row["gender"], 1, Decimal(row["amount"]))


def weights(rows: list[dict[str, str]], kind: Any) -> Weights:
    return make_weights(
        (WeightSum(row["Source"], row["Target"], row["typeTrans"], Decimal(row["Weight"]), 1) for row in rows), kind
    )


def amounts(top: int) -> st.SearchStrategy[str]:
    return st.integers(0, top).map(lambda cents: f"{cents // 100}.{cents % 100:02}")


payment = st.fixed_dictionaries(
    {
        "merchant": st.sampled_from(["M1", "M2"]),
        "customer": st.sampled_from([f"C{i}" for i in range(6)]),
        "gender": st.sampled_from("FFMMEU"),
        "amount": amounts(4_600),
    }
)
importance = st.fixed_dictionaries(
    {
        "Source": st.sampled_from([f"C{i}" for i in range(5)]),
        "Target": st.sampled_from(["M1", "M2"]),
        "typeTrans": st.sampled_from(["food", "transport"]),
        "Weight": amounts(300),
    }
)


@given(
    st.lists(payment, min_size=1, max_size=60),
    st.lists(importance, max_size=30),
    st.integers(1, 20),
    st.sampled_from(KINDS),
    st.sampled_from(WAYS),
    st.sampled_from(["0.01", "0.10", "0.34", "0.5"]),
)
def test_detections_are_those_of_a_recount(
    rows: list[dict[str, str]], ledger: list[dict[str, str]], size: int, kind: Any, way: Any, share: str
) -> None:
    asked = rules(share=Decimal(share), weight=kind, percentile=way)
    thresholds = {
        "share": share,
        "merchant_above": 3,
        "at_least": 2,
        "below": "23",
        "females_above": 1,
        "percentile": way,
    }
    again = Recount(weights_of(ledger, kind), thresholds)
    state, known, ours = State(), Known(), weights(ledger, kind)
    first: dict[tuple[str, str, str], int] = {}
    holds: dict[Key, bool] = {}
    for chunk, begin in enumerate(range(0, len(rows), size), 1):
        part = rows[begin : begin + size]
        found = known.learn(state, state.add(map(group, part)), asked, ours)
        for each in found.new:
            assert each.key not in holds, "a detection is made once"
            first[each.key.pattern, each.key.merchant, each.key.customer] = chunk
        holds |= {each.key: True for each in found.new} | dict.fromkeys(found.ended, False)
        holds |= dict.fromkeys(found.again, True)
        again.take(chunk, part)
        assert first == again.first
        assert {(key.pattern, key.merchant, key.customer) for key, still in holds.items() if still} == again.true_now


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.sampled_from(["0.01", "0.1", "0.25", "0.34", "0.5"]))
def test_both_ways_to_take_a_share_find_the_same(values: list[int], share: str) -> None:
    ascending = sorted(map(Fraction, values))
    tops = [{each for each in values if each >= top_cut(values, Decimal(share), way)} for way in WAYS]  # type: ignore[arg-type]
    bottoms = [{each for each in values if each <= bottom_cut(ascending, Decimal(share), way)} for way in WAYS]  # type: ignore[arg-type]
    assert tops[0] == tops[1] != set()
    assert bottoms[0] == bottoms[1] != set()


def test_the_examples_of_the_rules_are_right() -> None:
    counts = [9, 7, 7, 3]
    assert top_cut(counts, Decimal("0.25"), "percent_rank") == 9
    assert top_cut(counts, Decimal("0.25"), "interpolated") == Fraction("7.5")
    rows = [
        WeightSum("C", "M", "food", Decimal(30), 2),
        WeightSum("C", "M", "transport", Decimal(60), 1),
        WeightSum("C", "N", "food", Decimal(110), 1),
    ]
    found = {kind: make_weights(rows, kind).of("C", "M") for kind in KINDS}  # type: ignore[arg-type]
    assert found == {"pair": 30, "customer": 50, "types": (Fraction(140, 3) + 60) / 2}


def test_a_mean_is_compared_exactly_and_a_threshold_is_not_reached_by_equality() -> None:
    asked, none = rules(), make_weights((), "pair")
    for amount, is_child in (("45.99", True), ("46.00", False), ("45.9999", True)):
        state, known = State(), Known()
        groups = [Group("M", "C", "E", 2, Decimal(amount))]
        found = known.learn(state, state.add(groups), asked, none)
        assert [each.key for each in found.new] == ([Key("PatId2", "M", "C")] if is_child else [])


def test_a_detection_that_is_no_longer_true_is_told_once_and_never_made_again() -> None:
    asked, none, state, known = rules(), make_weights((), "pair"), State(), Known()
    key = Key("PatId2", "M", "C")

    def learn(amount: str) -> Any:
        return known.learn(state, state.add([Group("M", "C", "E", 2, Decimal(amount))]), asked, none)

    assert [each.key for each in learn("2").new] == [key]
    assert (learn("2000").ended, learn("2000").ended) == ((key,), ())
    for _ in range(200):
        found = learn("1")
        assert found.new == ()
        if found.again:
            break
    assert found.again == (key,)


def test_rules_say_what_is_wrong_with_them(tmp_path: Path) -> None:
    text = OWN.read_text()
    path = tmp_path / "rules.yaml"
    for old, new, says in (
        ("share: 0.01", "share: 1", "must be between 0 and 1"),
        ("share: 0.01", "share: x", "no number"),
        ("weight: pair", "weight: pairs", "one of pair, customer, types"),
        ("percentile: percent_rank", "percentile: median", "one of percent_rank, interpolated"),
        ("above: 50000", "above: -1", "no whole number"),
        ("transactions_at_least", "transactions_least", "is no threshold"),
        ("dei_needed:", "dei:", "is no threshold|missing"),
        ("child:", "child: [", "cannot be used"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(TieoutError, match=says):
            load_rules(path)
    with pytest.raises(TieoutError, match="No such file"):
        load_rules(tmp_path / "none.yaml")
    assert load_rules().share == Decimal("0.01")
    assert Rules.of_json(load_rules().as_json()) == load_rules()
