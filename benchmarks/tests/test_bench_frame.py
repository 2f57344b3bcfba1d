"""The benchmark's frame: rounds, ratios, verdicts, and what makes a measurement worthless."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from bench.frame import (
    LIMIT,
    OURS,
    PEER,
    BenchError,
    Books,
    Goal,
    Run,
    Side,
    UnavailableError,
    Wish,
    speed_ratio,
    take_turns,
)
from bench.hops import NAMES, find_hop

SAME = Books(100, {"INR": Decimal("12.30")})


def wish(size: str = "full") -> Wish:
    return Wish(size, lambda _: None, lambda: "python")


def side(name: str, seconds: Callable[[], float], kind: str = OURS, books: Books = SAME, **more: bool) -> Side:
    return Side(name, kind, lambda: Run(seconds(), books), **more)


def test_rounds_begin_with_another_side_each_time_and_the_warm_up_does_not_count() -> None:
    order: list[str] = []

    def noted(name: str) -> Side:
        def run() -> Run:
            order.append(name)
            return Run(float(len(order)), SAME)

        return Side(name, OURS, run)

    figures, not_run = take_turns([noted("a"), noted("b"), noted("c")], wish("quick"))
    assert not_run == []
    assert order == ["c", "a", "b", "a", "b", "c", "b", "c", "a"]
    assert figures[0].rounds == (4.0, 9.0)


def test_a_figure_is_the_median_with_its_spread_and_rate() -> None:
    seconds = iter([9.0, 1.0, 2.0, 4.0, 2.0, 2.0])
    (figure,), _ = take_turns([side("a", lambda: next(seconds))], wish())
    assert figure.seconds == 2.0
    assert figure.spread == 1.5
    assert figure.rate == 50.0


def test_a_side_that_is_far_behind_is_run_once_behind_its_warm_up() -> None:
    figures, _ = take_turns([side("a", lambda: 1.0), side("b", lambda: 10.1, PEER), side("c", lambda: 10.0)], wish())
    assert [len(figure.rounds) for figure in figures] == [5, 1, 5]
    figures, _ = take_turns([side("a", lambda: 1.0), side("b", lambda: 5.1), side("c", lambda: 5.0)], wish("quick"))
    assert [len(figure.rounds) for figure in figures] == [2, 1, 2]


def test_a_ratio_compares_rates_and_is_unknown_where_a_side_was_not_run() -> None:
    figures, _ = take_turns([side("a", lambda: 2.0), side("b", lambda: 3.0, LIMIT)], wish("tiny"))
    assert speed_ratio(figures, "a", "b") == 1.5
    assert speed_ratio(figures, "a", "c") is None


@pytest.mark.parametrize(
    ("value", "wanted", "at_least", "verdict"),
    [
        (0.6, 0.6, True, "reached"),
        (0.59, 0.6, True, "missed"),
        (1.2, 1.2, False, "reached"),
        (1.21, 1.2, False, "missed"),
        (None, 1.0, True, "not measured"),
    ],
)
def test_a_goal_says_plainly_whether_it_is_reached(
    value: float | None, wanted: float, at_least: bool, verdict: str
) -> None:
    assert Goal("a / b", value, wanted, at_least).verdict == verdict


@pytest.mark.parametrize(
    "other", [Books(99, {"INR": Decimal("12.30")}), Books(100, {"INR": Decimal("12.31")}), Books(100, {})]
)
def test_a_side_that_moved_something_else_is_refused(other: Books) -> None:
    sides = [side("a", lambda: 1.0), side("b", lambda: 1.0, PEER, other)]
    with pytest.raises(BenchError, match=r"b moved .* and a moved 100 of 12.30 INR"):
        take_turns(sides, wish("tiny"))


def test_equal_sums_of_another_scale_are_equal() -> None:
    other = Books(100, {"INR": Decimal("12.3000")})
    figures, _ = take_turns([side("a", lambda: 1.0), side("b", lambda: 1.0, PEER, other)], wish("tiny"))
    assert [figure.right for figure in figures] == [True, True]


def test_bytes_without_amounts_are_held_to_the_count_alone() -> None:
    figures, _ = take_turns([side("a", lambda: 1.0), side("b", lambda: 1.0, LIMIT, Books(100))], wish("tiny"))
    assert len(figures) == 2
    with pytest.raises(BenchError, match="b moved 101"):
        take_turns([side("a", lambda: 1.0), side("b", lambda: 1.0, LIMIT, Books(101))], wish("tiny"))


def test_a_peer_that_is_known_to_be_wrong_is_measured_and_marked() -> None:
    wrong = side("b", lambda: 1.0, PEER, Books(99, {"INR": Decimal(1)}), is_right=False)
    figures, _ = take_turns([side("a", lambda: 1.0), wrong], wish("tiny"))
    assert [figure.right for figure in figures] == [True, False]
    assert figures[1].as_json()["gives_the_same_result"] is False


def test_a_peer_that_cannot_be_run_is_named_with_its_reason() -> None:
    def away() -> Run:
        raise UnavailableError("no such driver")

    figures, not_run = take_turns([side("a", lambda: 1.0), Side("b", PEER, away)], wish())
    assert [figure.side for figure in figures] == ["a"]
    assert [(each.name, each.reason) for each in not_run] == [("b", "no such driver")]


@pytest.mark.parametrize("name", NAMES)
def test_every_hop_can_be_found(name: str) -> None:
    assert find_hop(name).name == name
