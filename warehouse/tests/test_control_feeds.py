"""E0: what the gateway says it has sent against what has arrived, whatever happens to producer, loads and totals."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lake_writer import LakeWriter, dead_letter, payment
from own_database import OwnDatabase

from contracts.control_total import ControlTotal, Money
from core.layout import CHECKOUT, Layout
from warehouse.control_topic import ControlWatermark, NewTotals
from warehouse.load import run_loads
from warehouse.proof import run_proof
from warehouse.proof.feeds import is_covered_by, missing

Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]
AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
AMOUNT = Decimal("107.23")


class Gateway:
    """Stands for the topic of control totals."""

    def __init__(self, topic: str = "transactions.control") -> None:
        self.topic = topic
        self.totals: list[ControlTotal] = []
        self.others: dict[str, Gateway] = {}

    def say(self, seq: int, last: int, *, closed: bool = False, dead: int = 0, run: str = "r", **other: Any) -> None:
        amounts = other.pop("amounts", {"INR": Money(seq - dead, (seq - dead) * AMOUNT)})
        self.totals.append(ControlTotal(run, seq, closed, amounts, {0: last}, contract="1.0.0", sent_at=AT, **other))

    def __call__(self, _settings: Any, topic: str, _say: Any) -> "Gateway":
        return self if topic == self.topic else self.of(topic)

    def of(self, topic: str) -> "Gateway":
        """Return another sender's topic."""
        return self.others.setdefault(topic, Gateway(topic))

    def read(self, known: ControlWatermark) -> NewTotals | None:
        begin = known.ends.get(0, 0)
        return NewTotals("c", {0: len(self.totals)}, self.totals[begin:]) if begin < len(self.totals) else None

    def close(self) -> None:
        pass


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    found = Gateway()
    monkeypatch.setattr("warehouse.load.ControlTopic", found)
    return found


@pytest.fixture
def e0(database: OwnDatabase, layout: Layout) -> Callable[..., list[tuple[Any, ...]]]:
    def run(**options: Any) -> list[tuple[Any, ...]]:
        found = run_proof(settings=database, layout=layout, **options)["equations"]
        return [
            (e["scope"], e["currency"], e["left"]["count"], e["right"]["count"], e["verdict"])
            for e in found
            if e["name"] == "E0"
        ]

    return run


def sent(*numbers: int, run: str = "r") -> list[dict[str, Any]]:
    return [payment(f"{run}-{number}", run=run, seq=number) for number in numbers]


REST = {"of": "events without an amount"}
BOTH = pytest.mark.parametrize("full", [False, True])
Prove = Callable[..., list[tuple[Any, ...]]]


@pytest.mark.services
@BOTH
def test_a_closed_feed_ties_out_by_currency(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove, query: Query, full: bool
) -> None:
    lake.commit([*sent(1, 2), dead_letter(run="r", seq=3)])
    gateway.say(3, 2, closed=True, dead=1)
    (entry,) = load()
    assert entry["control_totals"] == 1
    whole = {"feed": "r", "events": [1, 3], "closed": True}
    assert e0(full=full) == [(whole, "INR", 2, 2, "OK"), (whole | REST, None, 1, 1, "OK")]
    assert query("select settled_seq, finished_load_id, seen::text from metadata.feeds") == [(3, 1, "{[1,4)}")]
    assert load() == []


@pytest.mark.services
@BOTH
def test_copies_count_once_and_are_shown_beside(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove, full: bool
) -> None:
    lake.commit(sent(1, 2, 2, 3))
    gateway.say(3, 3, closed=True)
    load()
    lake.commit(sent(1, 2, 3))
    load()
    whole = {"feed": "r", "events": [1, 3], "closed": True, "copies": 4}
    assert e0(full=full) == [(whole, "INR", 3, 3, "OK")]


@pytest.mark.services
@BOTH
def test_a_killed_feed_is_open_with_what_lies_beyond_its_last_total(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove, full: bool
) -> None:
    lake.commit(sent(1, 2, 3, 4, 5))
    gateway.say(3, 2)
    load()
    assert e0(full=full) == [
        ({"feed": "r", "events": [1, 3]}, "INR", 3, 3, "OK"),
        ({"feed": "r", "events_beyond_the_last_total": 2, "waits_for": "closing total"}, None, 0, 2, "OPEN"),
    ]


@pytest.mark.services
def test_a_total_that_comes_after_the_events_beyond_it_cuts_them(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove, query: Query
) -> None:
    lake.commit([*sent(1, 2), dead_letter(run="r", seq=3), *sent(4, 5, 5)])
    load()
    assert [row[-1] for row in e0()] == ["UNATTESTED"]
    gateway.say(4, 3, dead=1)
    (entry,) = load()
    assert (entry["rows_read"], entry["control_totals"]) == (0, 1)
    assert [row[1:] for row in e0()] == [("INR", 3, 3, "OK"), (None, 1, 1, "OK"), (None, 0, 1, "OPEN")]
    assert query("select upto_seq, events, without_amount, seqs::text from metadata.load_feeds order by 1") == [
        (4, 4, 1, "{[1,5)}"),
        (None, 1, 0, "{[5,6)}"),
    ]
    lake.commit(sent(6))
    gateway.say(6, 6, dead=1, closed=True)
    load()
    assert [row[1:] for row in e0()] == [("INR", 5, 5, "OK"), (None, 1, 1, "OK")]


@pytest.mark.services
@BOTH
def test_a_feed_whose_offsets_are_not_loaded_is_open_and_a_hole_behind_them_is_different(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove, full: bool
) -> None:
    lake.commit(sent(1, 3))
    gateway.say(3, 2, closed=True)
    load()
    waits = {"feed": "r", "events": [1, 3], "waits_for": "load"}
    assert e0(full=full) == [(waits, None, 3, 2, "OPEN")]
    lake.commit(sent(4, run="other"))
    load()
    hole = {"feed": "r", "events": [1, 3], "closed": True, "missing": "2"}
    assert (hole, "INR", 3, 2, "DIFFERENT") in e0(full=full)


@pytest.mark.services
@BOTH
def test_a_cent_between_two_totals_is_different_there(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove, full: bool
) -> None:
    lake.commit(sent(1, 2))
    gateway.say(2, 1)
    load()
    lake.commit([*sent(3), payment("x", run="r", seq=4, amount=AMOUNT + Decimal("0.01"))])
    gateway.say(4, 3, closed=True)
    load()
    assert [(row[0].get("events"), row[-1]) for row in e0(full=full)] == [([1, 2], "OK"), ([3, 4], "DIFFERENT")]


@pytest.mark.services
def test_events_behind_a_closing_total_are_different(load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove) -> None:
    lake.commit(sent(1, 2, 3))
    gateway.say(2, 1, closed=True)
    load()
    assert ({"feed": "r", "events_behind_the_closing_total": 1}, None, 0, 1, "DIFFERENT") in e0()


@pytest.mark.services
def test_a_feed_that_was_brought_forward_and_goes_on_is_looked_at_again(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove
) -> None:
    lake.commit(sent(1, 2, 3))
    gateway.say(3, 2, closed=True)
    load()
    for number in range(24):
        lake.commit(sent(1, run=f"s{number:02}"))
        gateway.say(1, 3 + number, closed=True, run=f"s{number:02}")
        load()
    folded = ({"feeds": 5}, "INR", 7, 7, "OK")
    assert [row for row in e0() if "feeds" in row[0]] == [folded]
    lake.commit(sent(4))
    load()
    assert ({"feed": "r", "events_behind_the_closing_total": 1}, None, 0, 1, "DIFFERENT") in e0()
    gateway.say(4, 27, closed=True)
    load()
    for _ in range(2):
        lines = e0()
        assert {row[-1] for row in lines} == {"OK"}
        assert ({"feed": "r", "events": [1, 4], "closed": True}, "INR", 4, 4, "OK") in lines
        assert sum(row[0].get("feeds", 1) for row in lines) == 25


@pytest.mark.services
@BOTH
def test_feeds_without_totals_and_events_without_a_number_are_unattested(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove, full: bool
) -> None:
    lake.commit([payment("a"), payment("b", run="x"), dead_letter(), *sent(1, 2)])
    load()
    assert sorted((row[0]["feed"], row[3], row[4]) for row in e0(full=full)) == [
        ("(none)", 3, "UNATTESTED"),
        ("r", 2, "UNATTESTED"),
    ]


@pytest.mark.services
def test_a_feed_that_vouches_for_its_number_only_is_judged_by_it(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove
) -> None:
    lake.commit([*sent(1), dead_letter(run="r", seq=2)])
    gateway.say(2, 1, closed=True, amounts=None)
    load()
    assert [row[1:] for row in e0()] == [(None, 2, 2, "OK")]


@pytest.mark.services
@pytest.mark.parametrize("seed", range(3))
def test_however_events_totals_and_loads_fall_a_whole_feed_ties_out(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove, seed: int
) -> None:
    chance = random.Random(seed)
    events, offset = list(range(1, 61)), -1
    acknowledged = 0
    while acknowledged < len(events):
        batch = events[acknowledged : acknowledged + chance.randint(1, 15)]
        copies = [chance.choice(events[: acknowledged + len(batch)]) for _ in range(chance.randint(0, 3))]
        lake.commit([*sent(*batch), *sent(*copies)])
        acknowledged += len(batch)
        offset += len(batch) + len(copies)
        if chance.random() < 0.5:
            load()
        if chance.random() < 0.7:
            gateway.say(acknowledged, offset)
        if chance.random() < 0.5:
            load()
        assert "DIFFERENT" not in {row[-1] for row in e0()}, f"seed {seed}"
    gateway.say(len(events), offset, closed=True)
    load()
    for full in (False, True):
        (line,) = e0(full=full)
        assert line[1:] == ("INR", 60, 60, "OK"), f"seed {seed}"


@pytest.mark.services
def test_a_load_that_is_rolled_back_keeps_no_control_total(
    load: Load, lake: LakeWriter, gateway: Gateway, e0: Prove, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.commit(sent(1, 2))
    gateway.say(2, 1, closed=True)
    with monkeypatch.context() as broken:
        broken.setattr("warehouse.loader.write_control_watermark", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            load()
    assert query("select count(*) from metadata.control_totals") == [(0,)]
    load()
    assert [row[-1] for row in e0()] == ["OK"]
    assert query("select ends from metadata.control_watermark") == [({"0": 1},)]


@given(st.sets(st.integers(1, 40)), st.integers(0, 40))
def test_missing_numbers_are_those_that_are_not_there(numbers: set[int], upto: int) -> None:
    seen = [(number, number + 1) for number in numbers]
    gaps = missing(seen, upto)
    absent = [number for number in range(1, upto + 1) if number not in numbers]
    assert bool(gaps) == bool(absent)
    if absent:
        assert gaps.split(",")[0].split("-")[0] == str(absent[0])
    joined = [(1, max(numbers) + 1)] if numbers == set(range(1, len(numbers) + 1)) and numbers else seen
    if joined != seen or not numbers:
        assert is_covered_by(joined, upto) == (not absent)


@pytest.mark.services
def test_the_same_input_gives_the_same_proof(
    database: OwnDatabase, tmp_path: Path, gateway: Gateway, query: Query
) -> None:
    found = []
    for home in ("one", "two"):
        database.empty()
        gateway.totals.clear()
        layout = Layout(CHECKOUT, tmp_path / home)
        lake = LakeWriter(layout)
        for number in range(3):
            first = 5 * number
            lake.commit([*sent(*range(first + 1, first + 5), first + 4), dead_letter(run="r", seq=first + 5)])
            gateway.say(first + 5, 6 * number + 5, dead=number + 1, closed=number == 2)
            run_loads(database, layout, say=lambda _: None)
        proofs = [run_proof(full, settings=database, layout=layout)["equations"] for full in (False, True)]
        silver = query("select md5(string_agg(t::text, ',' order by partition, \"offset\")) from raw.transactions t")
        found.append((proofs, silver))
    assert found[0] == found[1]
    assert {line["verdict"] for line in found[0][0][0]} == {"OK", "OPEN"}
