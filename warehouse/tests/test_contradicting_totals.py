"""Control totals can neither weaken nor block the proof: the first content stands, and an operator ends a feed."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lake_writer import LakeWriter, payment
from own_database import OwnDatabase
from test_control_feeds import AMOUNT, AT, Gateway, sent

from contracts.control_total import ControlTotal, Money
from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.errors import TieoutError
from core.layout import Layout
from warehouse import control_totals
from warehouse.feed.books import list_feeds, void_feeds
from warehouse.proof import feeds, run_proof
from warehouse.proof.feeds import CONTRADICTING
from warehouse.settle import Ends

Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]
Prove = Callable[[], list[dict[str, Any]]]
REDRIVE = "transactions.control.redrive"

pytestmark = pytest.mark.services


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    found = Gateway()
    monkeypatch.setattr("warehouse.load.ControlTopic", found)
    return found


@pytest.fixture
def prove(database: OwnDatabase, layout: Layout) -> Prove:
    """Prove, by the books and by the lake; return E0's lines once both have the same verdicts."""

    def run() -> list[dict[str, Any]]:
        found = []
        for full in (True, False, False):  # the last one begins with what the one before it brought forward
            lines = run_proof(full, settings=database, layout=layout)["equations"]
            found.append([e for e in lines if e["name"] == "E0" and e["scope"].get("from") != "the loads' books"])
        first, *others = [sorted((str(e["scope"]), e["currency"], e["verdict"]) for e in each) for each in found]
        assert all(other == first for other in others)
        return found[-1]

    return run


def verdicts(lines: list[dict[str, Any]]) -> dict[str, set[str]]:
    by_feed: dict[str, set[str]] = {}
    for line in lines:
        by_feed.setdefault(line["scope"].get("feed", str(line["scope"])), set()).add(line["verdict"])
    return by_feed


def settle_five(load: Load, lake: LakeWriter, gateway: Gateway, run: str = "r") -> None:
    """Monday: five events, told, closed, settled."""
    lake.commit(sent(1, 2, 3, 4, 5, run=run))
    gateway.say(5, 4, closed=True, run=run)
    load()


INR = {"INR": Money(5, 5 * AMOUNT)}
OTHERS: dict[str, dict[str, Any]] = {
    "no amounts": {"amounts": None},
    "an amount": {"amounts": {"INR": Money(5, 5 * AMOUNT + 1)}},
    "a count": {"amounts": {"INR": Money(4, 5 * AMOUNT)}},
    "a currency": {"amounts": {"USD": Money(5, 5 * AMOUNT)}},
    "broken kinds": {"amounts": INR, "broken": {"NULL_VALUE": 1}},
    "not closed, an amount": {"amounts": {"INR": Money(5, Decimal(1))}, "closed": False},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("same_load", [False, True])
def test_a_later_total_with_other_content_does_not_replace_the_first_and_the_feed_is_different(
    load: Load, lake: LakeWriter, gateway: Gateway, prove: Prove, query: Query, other: dict[str, Any], same_load: bool
) -> None:
    lake.commit(sent(1, 2, 3, 4, 5))
    gateway.say(5, 4, closed=True)
    if not same_load:
        load()
        assert {line["verdict"] for line in prove()} == {"OK"}
    gateway.say(5, 9, **{"closed": True, **other})
    load()
    lines = prove()
    assert verdicts(lines) == {"r": {"OK", "DIFFERENT"}}
    (wrong,) = [line for line in lines if line["verdict"] == "DIFFERENT"]
    assert wrong["scope"] == {"feed": "r", **CONTRADICTING}
    assert (wrong["left"]["count"], wrong["right"]["count"]) == (0, 1)
    assert query("select seq, amounts->'INR'->>'count' from metadata.control_totals") == [(5, "5")]
    assert query("select run, seq from metadata.contradicting_totals") == [("r", 5)]


@pytest.mark.parametrize(
    ("seq", "closed"), [(3, True), (3, False), (1, True)], ids=["smaller and closing", "smaller", "one"]
)
def test_a_count_that_begins_anew_below_what_is_settled_is_not_dropped_in_silence(
    load: Load, lake: LakeWriter, gateway: Gateway, prove: Prove, seq: int, closed: bool
) -> None:
    settle_five(load, lake, gateway)
    lake.commit(sent(1, 2))
    gateway.say(seq, 6, closed=closed, amounts={"INR": Money(seq, Decimal(20 * seq))})
    load()
    assert verdicts(prove()) == {"r": {"OK", "DIFFERENT"}}


def test_a_smaller_closing_number_before_anything_is_settled_is_different_too(
    load: Load, lake: LakeWriter, gateway: Gateway, prove: Prove
) -> None:
    gateway.say(5, 4)
    lake.commit(sent(1, 2, 3))
    load()
    gateway.say(3, 2, closed=True)
    load()
    assert "DIFFERENT" in verdicts(prove())["r"]


def test_what_a_total_may_gain_is_taken_and_nothing_is_different(
    load: Load, lake: LakeWriter, gateway: Gateway, prove: Prove, query: Query
) -> None:
    """Amounts that were not known, the end of the feed, other offsets, the same again."""
    lake.commit(sent(1, 2, 3, 4))
    gateway.say(2, 1)
    gateway.say(5, 2**40, amounts=None)
    load()
    assert verdicts(prove()) == {"r": {"OK", "OPEN"}}  # the offsets are not reached
    gateway.say(5, 3, amounts=None)
    load()
    assert verdicts(prove()) == {"r": {"OK", "OPEN", "DIFFERENT"}}
    lake.commit(sent(5))
    gateway.say(5, 4)
    load()
    gateway.say(5, 4, amounts={"INR": Money(5, Decimal("536.1500")), "USD": Money()}, broken={"NULL_VALUE": 0})
    gateway.say(5, 4, closed=True)
    load()
    for _ in range(2):
        gateway.say(2, 1)
        gateway.say(5, 4)
        gateway.say(5, 4, closed=True)
        load()
        assert verdicts(prove()) == {"r": {"OK"}}
    assert query("select contradictions, closed_seq, finished_load_id is null from metadata.feeds") == [(0, 5, False)]


def test_a_total_that_agrees_waits_for_no_offset(load: Load, lake: LakeWriter, gateway: Gateway, prove: Prove) -> None:
    lake.commit(sent(1, 2))
    gateway.say(2, 2**50, closed=True)
    load()
    assert verdicts(prove()) == {"r": {"OK"}}


def test_amounts_that_are_filled_in_later_and_are_wrong_are_different(
    load: Load, lake: LakeWriter, gateway: Gateway, prove: Prove
) -> None:
    lake.commit(sent(1, 2))
    gateway.say(2, 1, closed=True, amounts=None)
    load()
    assert verdicts(prove()) == {"r": {"OK"}}
    gateway.say(2, 1, closed=True, amounts={"INR": Money(2, Decimal(1))})
    load()
    assert verdicts(prove()) == {"r": {"DIFFERENT"}}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(range(4)), min_size=4, max_size=12))
def test_totals_that_come_again_in_any_order_change_nothing(
    database: OwnDatabase, load: Load, gateway: Gateway, query: Query, order: list[int]
) -> None:
    with database.connect("loader") as connection, connection.transaction(force_rollback=True):
        row = connection.execute(
            "insert into metadata.load_audit (status) values ('RUNNING') returning load_id"
        ).fetchone()
        assert row is not None
        made = [
            ControlTotal("r", seq, seq == 40, {"INR": Money(seq, seq * AMOUNT)}, {0: seq}, contract="1", sent_at=AT)
            for seq in (10, 20, 30, 40)
        ]
        given = {"arrived": (), "ends": Ends(connection, None, {})}
        control_totals.write_control_totals(connection, row[0], load_entity(PAYMENTS), "gateway", made, **given)
        again = [made[place] for place in order]
        control_totals.write_control_totals(connection, row[0], load_entity(PAYMENTS), "gateway", again, **given)
        assert connection.execute("select contradictions, closed_seq from metadata.feeds").fetchall() == [(0, 40)]
        assert connection.execute("select count(*) from metadata.control_totals").fetchall() == [(4,)]


def test_a_total_counts_only_from_its_own_senders_topic(
    load: Load, lake: LakeWriter, gateway: Gateway, prove: Prove, query: Query
) -> None:
    """The gateway closes a redrive's feed, and a redrive the gateway's: neither counts."""
    redrive, said = gateway.of(REDRIVE), "redrive-20261121T101500Z-1f2e3d4c"
    lake.commit([*sent(1, 2), *sent(1, 2, run=said), *sent(1, 2, run="gateway-1"), *sent(1, run="redrivers")])
    gateway.say(2, 3, run=said, closed=True)
    redrive.say(2, 1, closed=True)
    redrive.say(2, 5, run="gateway-1", closed=True)
    load()
    assert verdicts(prove()) == {name: {"UNATTESTED"} for name in ("r", said, "gateway-1", "redrivers")}
    assert query("select sender, foreign_totals from metadata.control_watermark order by 1") == [
        ("gateway", 1),
        ("redrive", 2),
    ]
    gateway.say(2, 1, closed=True)
    gateway.say(2, 5, run="gateway-1", closed=True)
    gateway.say(1, 6, run="redrivers", closed=True)
    redrive.say(2, 3, run=said, closed=True)
    load()
    gateway.say(2, 3, run=said, closed=True, amounts=None)
    redrive.say(1, 0, closed=True, amounts=None)
    load()
    assert verdicts(prove()) == {name: {"OK"} for name in ("r", said, "gateway-1", "redrivers")}


def test_what_the_gateways_topic_says_of_a_redrive_of_before_counts(
    load: Load, lake: LakeWriter, gateway: Gateway, prove: Prove, query: Query
) -> None:
    query("insert into metadata.redrive_feeds (run, topic_id, selection, asked_by, used_gateway_topic) "
          "values ('redrive-old', 't', 's', 'a', true)")  # fmt: skip
    lake.commit(sent(1, 2, run="redrive-old"))
    gateway.say(2, 1, run="redrive-old", closed=True)
    load()
    assert verdicts(prove()) == {"redrive-old": {"OK"}}


@pytest.mark.parametrize("case", ["never came", "unreachable", "contradicts", "hole"])
def test_an_operator_ends_a_feed_that_cannot_tie_out(
    load: Load, lake: LakeWriter, gateway: Gateway, prove: Prove, query: Query, database: OwnDatabase, case: str
) -> None:
    settle_five(load, lake, gateway, run="good")
    if case == "never came":
        gateway.say(3, 4, closed=True)
    elif case == "unreachable":
        lake.commit(sent(1, 2))
        gateway.say(3, 2**50, closed=True)
    elif case == "contradicts":
        settle_five(load, lake, gateway)
        gateway.say(5, 4, amounts=None)
    else:
        lake.commit(sent(1, 3))
        gateway.say(3, 6, closed=True)
    load()
    before = verdicts(prove())
    assert before["good"] == {"OK"}
    assert before["r"] & {"OPEN", "DIFFERENT"}
    dry = void_feeds(database, ["r"], "a test", dry_run=True)
    assert dry["dry_run"]
    assert verdicts(prove()) == before
    outcome = void_feeds(database, ["r"], "its totals [are] wrong", dry_run=False)
    assert [each["feed"] for each in outcome["feeds"]] == ["r"]
    lines = prove()
    assert verdicts(lines) == {"good": {"OK"}, "r": {"VOID"}}
    (line,) = [line for line in lines if line["verdict"] == "VOID"]
    assert line["scope"]["reason"] == "its totals [are] wrong"
    assert query("select run, reason, voided_by, voided_at is not null from metadata.feed_voids") == [
        ("r", "its totals [are] wrong", outcome["ended_by"], True)
    ]
    # What still comes of it changes nothing, and it is brought forward like any other.
    lake.commit(sent(1, 2, 3, 4, 9))
    gateway.say(9, 2, closed=True)
    load()
    assert verdicts(prove())["r"] == {"VOID"}
    for number in range(24):
        settle_five(load, lake, gateway, run=f"s{number:02}")
    lines = prove()
    assert {line["verdict"] for line in lines} == {"OK", "VOID"}
    assert sum(line["scope"].get("feeds", 1) for line in lines) == 26


@pytest.mark.parametrize("name", ["nobody", "good", "(none)", "gone", "", "a\0b", "\udcff"])
def test_a_feed_that_is_not_there_is_ended_or_ties_out_is_not_ended(
    load: Load, lake: LakeWriter, gateway: Gateway, query: Query, database: OwnDatabase, name: str
) -> None:
    settle_five(load, lake, gateway, run="good")
    lake.commit([payment("x"), *sent(1, run="gone"), *sent(1, run="bad")])
    load()
    void_feeds(database, ["gone"], "once", dry_run=False)
    with pytest.raises(TieoutError) as refused:
        void_feeds(database, ["bad", name], "why", dry_run=False)
    assert "no feed was ended" in refused.value.left
    assert query("select run from metadata.feed_voids") == [("gone",)]


def test_a_feed_with_invisible_characters_is_ended_by_the_name_that_is_shown(
    load: Load, lake: LakeWriter, gateway: Gateway, query: Query, database: OwnDatabase
) -> None:
    lake.commit(sent(1, run="a\u200bb"))
    load()
    void_feeds(database, ["a<U+200B>b"], "why", dry_run=False)
    assert query("select run from metadata.feed_voids") == [("a\u200bb",)]


def test_many_feeds_that_never_came_are_a_bounded_number_of_lines_and_rows(
    load: Load, lake: LakeWriter, gateway: Gateway, prove: Prove, query: Query, database: OwnDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(control_totals, "MOST_FEEDS_TO_COME", 30)
    monkeypatch.setattr(control_totals, "MOST_FEEDS_NOT_LOADED", 30)
    monkeypatch.setattr(feeds, "MOST_WRONG_SHOWN", 10)
    settle_five(load, lake, gateway)
    for number in range(100):
        gateway.say(1, 4 if number % 2 else 2**40, run=f"never{number:03}", closed=True)
    load()
    assert query("select count(*) from metadata.feeds") == [(61,)]
    assert query("select refused_totals from metadata.control_watermark where sender = 'gateway'") == [(40,)]
    lines = prove()
    assert len(lines) < 60
    further = [e for e in lines if "further" in e["scope"]]
    assert sorted((e["verdict"], e["right"]["count"]) for e in further) == [("DIFFERENT", 10), ("OPEN", 10)]
    # A sender of its own is not kept out by another's.
    gateway.of(REDRIVE).say(5, 4, run="redrive-1", closed=True)
    load()
    assert query("select count(*) from metadata.feeds where run = 'redrive-1'") == [(1,)]
    listed = list_feeds(database, ["OPEN", "DIFFERENT"], 100)
    assert listed["verdicts"] == {"OK": 1, "OPEN": 30, "DIFFERENT": 31}
    void_feeds(database, [each["feed"] for each in listed["feeds"]], "never sent", dry_run=False)
    assert {line["verdict"] for line in prove()} == {"OK", "VOID"}


def test_feeds_of_which_events_come_are_no_feeds_to_come_however_many_they_are(
    load: Load, lake: LakeWriter, gateway: Gateway, prove: Prove, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_totals, "MOST_FEEDS_TO_COME", 5)
    for number in range(8):  # their offsets are not loaded yet
        gateway.say(1, 8 + number, run=f"later{number}", closed=True)
    for number in range(8):
        gateway.say(1, number, run=f"same{number}", closed=True)
    lake.commit([event for number in range(8) for event in sent(1, run=f"same{number}")])
    load()
    assert verdicts(prove()) == {f"same{number}": {"OK"} for number in range(8)} | {
        f"later{number}": {"OPEN"} for number in range(8)
    }
    lake.commit([event for number in range(8) for event in sent(1, run=f"later{number}")])
    load()
    assert {line["verdict"] for line in prove()} == {"OK"}
    for number in range(8):
        gateway.say(1, 3, run=f"never{number}", closed=True)
    load()
    assert query("select count(*) from metadata.feeds where run like 'never%'") == [(5,)]
    assert query("select refused_totals from metadata.control_watermark where sender = 'gateway'") == [(3,)]


def test_a_feed_with_many_totals_keeps_a_bounded_number_of_them(
    load: Load, lake: LakeWriter, gateway: Gateway, prove: Prove, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_totals, "MOST_WAITING", 20)
    monkeypatch.setattr("warehouse.settle.KEEP_TOTALS", 5)
    for number in range(1, 51):
        gateway.say(number, number - 1)
    lake.commit(sent(51, run="first"))
    load()
    assert query("select count(*), min(seq) from metadata.control_totals") == [(20, 31)]
    lake.commit(sent(*range(1, 51)))
    gateway.say(50, 50, closed=True)
    load()
    assert verdicts(prove())["r"] == {"OK"}
    assert query("select count(*), min(seq) from metadata.control_totals") == [(6, 45)]
    for number in range(30):
        gateway.say(50, 50, amounts={"INR": Money(50, Decimal(number))})
    load()
    assert query("select contradictions, (select count(*) from metadata.contradicting_totals) from metadata.feeds "
                 "where run = 'r'") == [(30, 10)]  # fmt: skip


@pytest.mark.parametrize("run", ["(none)", ""])
def test_events_that_name_no_feed_are_one_line_whatever_they_claim(
    load: Load, lake: LakeWriter, gateway: Gateway, prove: Prove, run: str
) -> None:
    lake.commit([payment("a", run=run, seq=1), payment("b"), payment("c", run="x" * 201, seq=1), payment("d", run="x")])
    load()
    (line,) = prove()
    assert (line["scope"], line["right"]["count"], line["verdict"]) == ({"feed": "(none)"}, 4, "UNATTESTED")


def test_both_contents_are_named_when_asked(
    load: Load, lake: LakeWriter, gateway: Gateway, database: OwnDatabase, layout: Layout
) -> None:
    settle_five(load, lake, gateway)
    gateway.say(5, 4, amounts={"INR": Money(5, Decimal(100))})
    load()
    (explained,) = run_proof(settings=database, layout=layout, explain=True)["explained"]
    (item,) = explained["items"]
    assert (item["says"], item["stands"]) == ("INR 100 in 5", "INR 536.15 in 5")
