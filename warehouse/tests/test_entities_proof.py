"""E0 to E4 of payments and refunds: each entity's books are compared with its own, and its lines say whose they are."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lake_writer import LakeWriter, dead_letter, payment, refund
from own_database import OwnDatabase
from test_proof import DAILY, FACT, made_marts

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.errors import TieoutError
from core.layout import CHECKOUT, Layout
from warehouse.feed.books import list_feeds
from warehouse.feed.cli import _show
from warehouse.proof import run_proof, show_proof

Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]
Prove = Callable[..., dict[str, Any]]

REFUNDS = load_entity("refunds")
services = pytest.mark.services

REFUND_FACT = FACT.replace("fact_transactions", "fact_refunds").replace("transaction_id", "refund_id").replace(
    "raw.transactions", "raw.refunds"
)  # fmt: skip
REFUND_DAILY = DAILY.replace("daily_revenue_totals", "daily_refund_totals").replace("fact_transactions", "fact_refunds")


@pytest.fixture
def refunds(layout: Layout) -> LakeWriter:
    return LakeWriter(layout, "refunds-topic", REFUNDS)


@pytest.fixture
def prove(database: OwnDatabase, layout: Layout) -> Prove:
    def run(**options: Any) -> dict[str, Any]:
        return run_proof(settings=database, layout=layout, **options)

    return run


@pytest.fixture
def both(load: Load, lake: LakeWriter, refunds: LakeWriter) -> None:
    lake.commit([payment("a", "PENDING"), payment("a"), dead_letter()])
    refunds.commit([refund("r1", "PENDING", partition=1), refund("r1"), refund("r2"), refund("r2"), dead_letter()])
    refunds.commit([refund("r3", currency="USD"), refund("r4", reason="WHY")])
    load()


@pytest.fixture
def built(both: None, query: Query) -> Iterator[None]:
    """Make the marts of both, as a build does."""
    with made_marts(query, (FACT, DAILY), (REFUND_FACT, REFUND_DAILY)):
        yield


def lines(result: dict[str, Any], *names: str, entity: str = "refunds") -> list[tuple[Any, ...]]:
    """Return an entity's lines: equation, currency, both counts and the verdict."""
    return [
        (e["name"], e["currency"], e["left"]["count"], e["right"]["count"], e["verdict"])
        for e in result["equations"]
        if e["scope"].get("entity", PAYMENTS) == entity and (not names or e["name"] in names)
    ]


@services
@pytest.mark.parametrize("full", [False, True])
def test_each_entity_ties_out_by_its_own_offsets_feeds_and_amounts(both: None, prove: Prove, full: bool) -> None:
    found = prove(full=full)
    assert found["ok"]
    by_rows = [("E2", None, 6, 6, "OK")] if full else []
    assert lines(found) == [
        ("E0", None, 0, 7, "UNATTESTED"),
        ("E1", None, 6, 6, "OK"),
        ("E1", None, 1, 1, "OK"),
        ("E2", "INR", 5, 5, "OK"),
        ("E2", "USD", 1, 1, "OK"),
        *by_rows,
        ("E3", "INR", 3, 0, "OPEN"),
        ("E3", "USD", 1, 0, "OPEN"),
    ]
    assert [e["scope"]["feed"] for e in found["equations"] if e["name"] == "E0"] == ["(none)", "(none refunds)"]
    assert [line[0] for line in lines(found, entity=PAYMENTS)] == ["E0", "E1", "E2", *(["E2"] if full else []), "E3"]
    assert {e["scope"].get("entity") for e in found["equations"]} == {None, "refunds"}


@services
@pytest.mark.parametrize("full", [False, True])
def test_an_entity_without_an_event_adds_no_line(
    load: Load, lake: LakeWriter, refunds: LakeWriter, prove: Prove, query: Query, full: bool
) -> None:
    lake.commit([payment("a")])
    refunds.write(refunds.bronze, [], {0: 0, 1: 0}, {0: 0, 1: 0})  # a stream that found nothing
    load()
    found = prove(full=full)
    assert len(found["equations"]) > 3
    assert {e["scope"].get("entity") for e in found["equations"]} == {None}
    assert query("select entity from metadata.proof_forward") == [(PAYMENTS,)]


@services
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("broken", "well"), [(PAYMENTS, "refunds"), ("refunds", PAYMENTS)])
def test_an_entity_whose_books_cannot_be_read_is_named_and_the_other_is_proven(
    both: None, prove: Prove, query: Query, layout: Layout, full: bool, broken: str, well: str
) -> None:
    before = prove()
    newest = max((layout.data / load_entity(broken).bronze / "_delta_log").glob("*.json"))
    newest.write_bytes(b"{")
    with pytest.raises(TieoutError, match=rf"^{broken}: .* is damaged") as caught:
        prove(full=full)
    found = caught.value.done
    assert not found["ok"]
    (line,) = [e for e in found["equations"] if "cannot_be_proven" in e["scope"]]
    assert (line["verdict"], line["scope"].get("entity", PAYMENTS)) == ("OPEN", broken)
    assert lines(found, entity=broken) == [("E1", None, 0, 0, "OPEN")]
    if not full:
        assert lines(found, entity=well) == lines(before, entity=well)
    assert len(lines(found, entity=well)) > 3
    newest_proof = "proof_id = (select proof_id from metadata.proof order by checked_at desc limit 1)"
    kept = query(f"select count(*) from metadata.proof where scope ? 'cannot_be_proven' and {newest_proof}")
    assert kept == [(1,)]


@services
def test_tables_that_an_entity_lacks_stop_its_proof_alone(both: None, prove: Prove, query: Query) -> None:
    query("alter table raw.refunds rename to elsewhere")
    try:
        with pytest.raises(TieoutError, match=r'^refunds: its books cannot be read: UndefinedTable, .*"raw.refunds"'):
            prove(full=True)
    finally:
        query("alter table raw.elsewhere rename to refunds")
    assert prove(full=True)["ok"]


@services
def test_refunds_that_no_load_has_taken_are_open(both: None, refunds: LakeWriter, prove: Prove) -> None:
    refunds.commit([refund("r9"), refund("r10")])
    assert ("E1", None, 2, 0, "OPEN") in lines(prove())


@services
def test_the_marts_of_both_tie_out_and_a_cent_in_one_is_named(
    built: None, prove: Prove, query: Query, capsys: pytest.CaptureFixture[str]
) -> None:
    found = prove(full=True)
    sides = [("INR", 2), ("USD", 1)]
    assert lines(found, "E3", "E4") == [(name, c, n, n, "OK") for name in ("E3", "E4") for c, n in sides]
    query("update marts.fact_refunds set amount = amount + 0.01 where refund_id = 'r2'")
    found = prove(explain=True)
    different = [e for e in found["equations"] if e["verdict"] == "DIFFERENT"]
    assert [(e["name"], e["scope"]["entity"], e["difference"]["amount"]) for e in different] == [
        ("E3", "refunds", "-0.01"),
        ("E4", "refunds", "0.01"),
    ]
    assert different[0]["scope"]["days"] == "2026-11-19"
    assert [item["refund_id"] for item in found["explained"][0]["items"]] == ["r2"]
    show_proof(found)
    printed = capsys.readouterr().out
    assert "E3: silver, latest status of each refund = fact_refunds" in printed
    assert "E4: fact_transactions = daily_revenue_totals" in printed
    assert re.search(r"E3 +refunds +status SUCCESS, days 2026-11-19 +INR", printed)


@services
def test_a_difference_in_silver_of_refunds_is_named_and_explained(both: None, prove: Prove, query: Query) -> None:
    query("update raw.refunds set amount = amount + 1 where refund_id = 'r2'")
    found = prove(full=True, explain=True)
    different = [e for e in found["equations"] if e["verdict"] == "DIFFERENT"]
    assert {(e["name"], e["scope"].get("entity")) for e in different} == {("E2", "refunds")}
    items = [item for each in found["explained"] for item in each["items"]]
    assert {(item["lake_id"], item["silver_id"], item["silver_amount"], item["book"]) for item in items} == {
        ("r2", "r2", "8.5000", "refunds")
    }
    query("delete from raw.rejected_refunds")
    assert ("E2", "INR", 5, 4, "DIFFERENT") in [line for line in lines(prove(full=True), "E2") if line[-1] != "OK"]


@services
def test_what_is_brought_forward_is_each_entitys_own(
    built: None, load: Load, lake: LakeWriter, refunds: LakeWriter, prove: Prove, query: Query
) -> None:
    for number in range(22):
        refunds.commit([refund(f"more-{number}")])
        load()
    assert prove()["ok"]
    forward = "select entity, load_id > 1, processed_load_id, epoch from metadata.proof_forward order by 1 desc"
    assert query(forward) == [(PAYMENTS, False, 1, 1), ("refunds", True, 2, None)]
    first = lines(prove())
    assert [line[-1] for line in first if line[0] in ("E1", "E2")] == ["OK"] * 24, (
        "two partitions, twenty loads, two sums"
    )
    query("update metadata.load_totals set amount = amount + 1 where book = 'NEW' and load_id = 2")
    assert prove()["ok"], "what was proven stays proven"
    assert ("DIFFERENT", "refunds") in {(e["verdict"], e["scope"].get("entity")) for e in prove(full=True)["equations"]}
    assert query("select count(*) from metadata.proof_forward") == [(0,)]


@services
def test_feeds_are_listed_with_their_entity_where_there_is_more_than_one(
    load: Load,
    lake: LakeWriter,
    refunds: LakeWriter,
    database: OwnDatabase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lake.commit([payment("a", run="gateway-p", seq=1)])
    load()
    _show(list_feeds(database, ["UNATTESTED"], 50))
    assert "refunds" not in capsys.readouterr().out
    refunds.commit([refund("r1", run="gateway-f", seq=1), refund("r2")])
    load()
    found = list_feeds(database, ["UNATTESTED"], 50)
    assert [(feed["feed"], feed["entity"], feed["sender"]) for feed in found["feeds"]] == [
        ("(none refunds)", "refunds", None),
        ("gateway-f", "refunds", "gateway"),
        ("gateway-p", PAYMENTS, "gateway"),
    ]
    _show(found)
    assert re.search(r"gateway-f +refunds +UNATTESTED +1", capsys.readouterr().out)


@services
@pytest.mark.parametrize("full", [False, True])
def test_events_that_name_a_feed_of_another_entity_are_proven_without_one(
    load: Load, lake: LakeWriter, refunds: LakeWriter, prove: Prove, full: bool
) -> None:
    lake.commit([payment("a", run="gateway-p", seq=1)])
    load()
    refunds.commit([refund("r1", run="gateway-p", seq=1), refund("r2", run="gateway-p", seq=2)])
    load()
    found = [(e["scope"]["feed"], e["right"]["count"]) for e in prove(full=full)["equations"] if e["name"] == "E0"]
    assert found == [("gateway-p", 1), ("(none refunds)", 2)]


# What names the payments: these packages work for every entity, and none of their modules may say it.
OF_PAYMENTS = re.compile(
    r"raw\.transactions|rejected_transactions|raw\.duplicates|raw_transactions|topics\[\"transactions\"\]"
    r"|fact_transactions|daily_revenue|transaction_id|PENDING|payment_method|merchant_category|is_fraud"
)


@pytest.mark.parametrize("package", ["proof", "dlq", "feed"])
def test_no_module_names_a_table_or_a_field_of_payments(package: str) -> None:
    files = sorted((CHECKOUT / "warehouse" / "warehouse" / package).glob("*.py"))
    lines = [(file.name, line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(lines) > 250
    assert [(name, line) for name, line in lines if OF_PAYMENTS.search(line)] == []


def test_payments_alone_are_shown_without_a_column_of_entities(capsys: pytest.CaptureFixture[str]) -> None:
    side = {"count": 1, "amount": None}
    line = {"name": "E1", "scope": {"partition": 0}, "currency": None, "verdict": "OK", "left": side, "right": side}
    line["difference"] = {"count": 0, "amount": None}
    show_proof({"equations": [line]})
    assert "entity" not in capsys.readouterr().out
    show_proof({"equations": [line, line | {"scope": {"entity": "refunds", "partition": 0}}]})
    printed = capsys.readouterr().out
    assert re.search(r"E1 +transactions +partition 0", printed)
    assert re.search(r"E1 +refunds +partition 0", printed)
    assert printed.count("refunds") == 1
