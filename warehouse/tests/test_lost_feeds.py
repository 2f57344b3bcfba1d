"""E0 of feeds whose events are lost for good: an accepted loss, or an accepted other topic, ends as LOST n."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from lake_writer import LakeWriter, dead_letter, payment
from own_database import OwnDatabase
from test_control_feeds import AMOUNT, Gateway, sent

from contracts.control_total import Money
from core.layout import Layout
from warehouse.arrivals import Arrived, gaps
from warehouse.losses import lost_of, take_back
from warehouse.proof import run_proof

Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]
Prove = Callable[..., list[tuple[Any, ...]]]
OLD, NEW = "sMHcCAVMSGyb_J6xbxrUwA", "aaaaaaaaaaaaaaaaaaaaaa"


@pytest.fixture
def teller(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    found = Gateway()
    monkeypatch.setattr("warehouse.load.ControlTopic", found)
    return found


@pytest.fixture
def prove(database: OwnDatabase, layout: Layout) -> Prove:
    """Prove, by the books and by the lake; return E0's lines once both say the same."""

    def run() -> list[tuple[Any, ...]]:
        found = []
        for full in (True, False):
            lines = run_proof(full, settings=database, layout=layout)["equations"]
            assert lines
            found.append([
                (e["scope"], e["currency"], e["left"]["count"], e["right"]["count"], e["verdict"])
                for e in lines if e["name"] == "E0" and e["scope"].get("from") != "the loads' books"
            ])  # fmt: skip
        assert sorted(found[0], key=str) == sorted(found[1], key=str)
        return found[1]

    return run


def whole(last: int, **scope: Any) -> dict[str, Any]:
    return {"feed": "r", "events": [1, last], "closed": True, **scope}


REST = {"of": "events without an amount"}


@pytest.mark.services
@pytest.mark.parametrize("told_after", [True, False])
def test_an_accepted_loss_ends_a_feed_as_lost(
    load: Load, lake: LakeWriter, layout: Layout, teller: Gateway, prove: Prove, query: Query,
    database: OwnDatabase, told_after: bool,
) -> None:  # fmt: skip
    lake.commit(sent(1, 2))
    teller.say(2, 1)
    load()
    if not told_after:
        teller.say(6, 6, dead=1, closed=True)
        load()
        assert [row[-1] for row in prove()] == ["OK", "OPEN"]
    lake.lose(0, 3, "the stream rested for too long")
    lake.commit(sent(5, 6))
    if told_after:
        teller.say(6, 6, dead=1, closed=True)
    load()
    # Lost are 3, 4 and one copy: two payments, of which one had no amount by the gateway's word.
    assert prove() == [
        (whole(6, LOST=1), "INR", 5, 5, "OK"),
        (whole(6, LOST=1) | REST, None, 1, 1, "OK"),
    ]
    assert query("select lost_seqs::text, settled_seq, finished_load_id is null from metadata.feeds") == [
        ("{[3,5)}", 6, False)
    ]
    query("update metadata.lost_offsets set offsets = 1")
    for full in (False, True):
        lines = run_proof(full, settings=database, layout=layout)["equations"]
        (beyond,) = [e for e in lines if e["scope"].get("of", "").startswith("events that count as lost")]
        assert (beyond["left"]["count"], beyond["right"]["count"], beyond["verdict"]) == (1, 2, "DIFFERENT")


@pytest.mark.services
def test_a_hole_that_no_accepted_loss_explains_stays_different(
    load: Load, lake: LakeWriter, teller: Gateway, prove: Prove
) -> None:
    """A loss before the feed, and one that is smaller than the hole."""
    lake.lose(0, 5, "before it")
    lake.commit(sent(1, 2))
    teller.say(2, 6)
    load()
    assert [row[-1] for row in prove()] == ["OK", "OPEN"]
    lake.commit(sent(4))
    teller.say(4, 7)
    load()
    assert (prove()[1][0]["missing"], prove()[1][-1]) == ("3", "DIFFERENT")
    lake.lose(0, 1, "one only")
    lake.commit(sent(7))
    teller.say(7, 9, closed=True)
    load()
    assert (prove()[1][0]["missing"], prove()[1][-1]) == ("3", "DIFFERENT")


@pytest.mark.services
def test_two_feeds_cannot_both_claim_one_lost_offset(
    load: Load, lake: LakeWriter, teller: Gateway, prove: Prove
) -> None:
    lake.lose(0, 1, "gone")
    lake.commit([*sent(2), *sent(2, run="s")])
    teller.say(2, 1, closed=True)
    teller.say(2, 2, closed=True, run="s")
    load()
    assert sorted((row[0]["feed"], row[0].get("LOST"), row[-1]) for row in prove()) == [
        ("r", 1, "OK"),
        ("s", None, "DIFFERENT"),
    ]


@pytest.mark.services
def test_a_wrong_amount_beside_a_loss_is_different(load: Load, lake: LakeWriter, teller: Gateway, prove: Prove) -> None:
    lake.commit([payment("a", run="r", seq=1, amount=AMOUNT + Decimal("0.01"))])
    teller.say(1, 0)
    load()
    lake.lose(0, 1, "gone")
    teller.say(2, 1, closed=True)
    load()
    assert prove()[0] == ({"feed": "r", "events": [1, 1]}, "INR", 1, 1, "DIFFERENT")


@pytest.mark.services
def test_a_lost_event_that_is_sent_again_is_no_longer_lost(
    load: Load, lake: LakeWriter, teller: Gateway, prove: Prove, query: Query
) -> None:
    lake.commit(sent(1))
    lake.lose(0, 2, "gone")
    teller.say(3, 2, closed=True)
    load()
    assert prove() == [(whole(3, LOST=2), "INR", 3, 3, "OK")]
    lake.commit(sent(2))
    load()
    assert prove() == [(whole(3, LOST=1), "INR", 3, 3, "OK")]
    lake.commit([payment("r-3", run="r", seq=3, amount=AMOUNT + 1)])
    load()
    assert prove() == [(whole(3), "INR", 3, 3, "DIFFERENT")]


@pytest.mark.services
@pytest.mark.parametrize("told_after", [True, False])
def test_what_was_sent_to_a_topic_that_is_gone_ends_as_lost_once_another_is_accepted(
    load: Load, lake: LakeWriter, layout: Layout, teller: Gateway, prove: Prove, query: Query,
    database: OwnDatabase, told_after: bool,
) -> None:  # fmt: skip
    lake.commit([*sent(1, 2), dead_letter(run="r", seq=3)])
    teller.say(3, 2, dead=1, topic_id=OLD)
    load()
    if not told_after:
        teller.say(6, 5, dead=1, closed=True, topic_id=OLD)
        load()
        assert [row[-1] for row in prove()] == ["OK", "OK", "OPEN"]
    anew = LakeWriter(layout, NEW)
    anew.begin(OLD, "the broker's disk died")
    load()
    if told_after:
        teller.say(6, 5, dead=1, closed=True, topic_id=OLD)
        load()
    assert prove() == [
        (whole(6, LOST=3), "INR", 5, 5, "OK"),
        (whole(6) | REST, None, 1, 1, "OK"),
    ]
    assert query(
        "select topic_id, partition, start_offset, end_offset, offsets, reason from metadata.lost_offsets"
    ) == [(OLD, 0, 3, 6, 3, "the broker's disk died")]
    anew.commit(sent(1, run="s"))
    teller.say(1, 0, closed=True, run="s", topic_id=NEW)
    load()
    assert load() == []
    for full in (False, True):
        lines = run_proof(full, settings=database, layout=layout)["equations"]
        assert {e["verdict"] for e in lines if e["name"] in ("E0", "E1", "E2")} == {"OK"}
        (gone,) = [e for e in lines if e["name"] == "E1" and e["scope"].get("topic_id") == OLD]
        assert (gone["scope"]["LOST"], gone["left"]["count"], gone["right"]["count"]) == (3, 6, 6)


@pytest.mark.services
def test_a_loss_that_is_brought_forward_still_says_lost(
    load: Load, lake: LakeWriter, teller: Gateway, prove: Prove
) -> None:
    lake.commit(sent(1))
    lake.lose(0, 1, "gone")
    lake.commit(sent(3))
    teller.say(3, 2, closed=True)
    load()
    for number in range(25):
        run = f"s{number:02}"
        lake.commit(sent(1, run=run))
        teller.say(1, 3 + number, closed=True, run=run)
        load()
    for _ in range(2):
        lines = prove()
        assert {row[-1] for row in lines} == {"OK"}
        assert [row for row in lines if "feeds" in row[0]] == [({"feeds": 6, "LOST": 1}, "INR", 8, 8, "OK")]


def test_a_loss_explains_whole_events_only() -> None:
    said = {"INR": Money(3, Decimal(30)), "USD": Money(1, Decimal(5))}
    here = Arrived(0, {"INR": Money(2, Decimal(20)), "USD": Money(1, Decimal(5))})
    assert lost_of(5, said, here, 2) == Arrived(1, {"INR": Money(1, Decimal(10))})
    assert lost_of(5, said, here, 1) is None
    assert lost_of(5, said, Arrived(0, {"INR": Money(2, Decimal(20)), "USD": Money(1, Decimal(4))}), 2) is None
    assert lost_of(5, None, here, 2) == Arrived(2)
    assert take_back(Arrived(1, {"INR": Money(1, Decimal(10))}), Arrived(1, {"INR": Money(1, Decimal(9))})) == Arrived()


def test_gaps_may_overlap_with_nothing() -> None:
    assert gaps([(4, 6), (2, 3), (5, 8)], 9) == [(1, 2), (3, 4), (8, 10)]
    assert gaps([], 0) == gaps([(1, 9)], 8) == []
