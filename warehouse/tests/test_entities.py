"""Payments and refunds in one warehouse: each has its own loads, books and feeds, and neither takes the other's."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lake_writer import LakeWriter, dead_letter, payment, refund
from own_database import OwnDatabase
from test_control_feeds import AT, Gateway

from contracts.control_total import ControlTotal, ControlTotalError, Money, parse_control_total
from contracts.entities import load_entities, load_entity
from contracts.model import PAYMENTS
from core.errors import TieoutError
from core.layout import CHECKOUT, Layout
from warehouse.accept import accept_table
from warehouse.backfill import open_backfill
from warehouse.delta_log import table_id
from warehouse.freshness import look_at_bronze, look_at_loads
from warehouse.load import run_loads
from warehouse.rebuild import rebuild_silver
from warehouse.retention import expire

Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]

TRANSACTIONS, REFUNDS = load_entity(PAYMENTS), load_entity("refunds")
TOPIC = "refunds-topic"
services = pytest.mark.services


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    found = Gateway()
    monkeypatch.setattr("warehouse.load.ControlTopic", found)
    return found


@pytest.fixture
def refunds(layout: Layout) -> LakeWriter:
    return LakeWriter(layout, TOPIC, REFUNDS)


def numbered(*numbers: int, run: str = "gateway-f", **other: Any) -> list[dict[str, Any]]:
    return [refund(f"{run}-{number}", run=run, seq=number, **other) for number in numbers]


def say(gateway: Gateway, seq: int, run: str = "gateway-f", *, entity: str = "refunds", **other: Any) -> None:
    amounts = {"INR": Money(seq, seq * Decimal("7.50"))}
    given = {"topic_id": TOPIC, "closed": False, "last_offsets": {0: seq - 1}, **other}
    gateway.totals.append(ControlTotal(run, seq, amounts=amounts, entity=entity, sent_at=AT, **given))


def books(query: Query) -> dict[str, tuple[Any, ...]]:
    """Return by entity what the books of all its loads hold: counts by book, and the amount that is new."""
    return {
        entity: rest
        for entity, *rest in query("""
            select entity, sum(rows_loaded)::int, sum(duplicates)::int, sum(rejected)::int, sum(dead_letters)::int,
                (select sum(amount) from metadata.load_totals t join metadata.load_audit b using (load_id)
                    where b.entity = a.entity and t.book = 'NEW')
            from metadata.load_audit a where status = 'SUCCESS' group by 1
        """)
    }


@services
def test_each_entity_is_loaded_into_its_own_tables_payments_first(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, refunds: LakeWriter, query: Query
) -> None:
    refunds.commit([refund("r1", "PENDING"), refund("r1", "PENDING"), dead_letter(raw_value=b'{"amount":')])
    refunds.commit([refund("r1"), refund("r2", reason="WHY"), refund("r1", "FAILED")])
    lake.commit([payment("t1"), payment("t1")])
    said: list[str] = []
    loads = run_loads(database.model_copy(update={"max_rows_per_load": 2}), layout, say=said.append)
    assert [entry["entity"] for entry in loads] == ["transactions", "refunds", "refunds"]
    assert [line.partition(": versions")[0] for line in said[-3:]] == [
        "load 1",
        "load 2 of refunds",
        "load 3 of refunds",
    ]
    assert books(query) == {
        "transactions": [1, 1, 0, 0, Decimal("107.23")],
        "refunds": [2, 1, 2, 1, Decimal("15.00")],
    }
    assert query("select refund_id, status, load_id from raw.refunds order by 3") == [
        ("r1", "PENDING", 2),
        ("r1", "SUCCESS", 3),
    ]
    rejected = query("select reasons, conflict -> 'standing' ->> 'book' from raw.rejected_refunds order by 1")
    assert rejected == [(["CONTRADICTING_STATUS"], "refunds"), (["REASON_UNKNOWN"], None)]
    settled = query("select load_id, count from metadata.load_statuses where status = 'SETTLED'")
    assert settled == [(3, 1)]
    tables = [name for entity in load_entities() for name in (entity.bronze, entity.dead_letters)]
    assert query("select lake_table from metadata.load_watermark order by 1") == [(name,) for name in sorted(tables)]
    book = "select book, entity from metadata.dead_letter_book order by 1"
    assert query(book) == [("dead_letters", "refunds"), *[("rejected_refunds", "refunds")] * 2]
    assert run_loads(database, layout, say=said.append) == []


@services
def test_the_feeds_of_both_are_settled_from_the_sender_s_one_topic(
    load: Load, lake: LakeWriter, refunds: LakeWriter, gateway: Gateway, query: Query
) -> None:
    lake.commit([payment("t1", run="gateway-p", seq=1)])
    refunds.commit([*numbered(1, 2, 3), dead_letter()])
    gateway.say(1, 0, closed=True, run="gateway-p")
    assert [entry["control_totals"] for entry in load()] == [1, 0]
    say(gateway, 2)
    say(gateway, 3, closed=True)
    (alone,) = load()
    assert (alone["rows_read"], alone["control_totals"], alone["entity"]) == (0, 2, "transactions")
    feeds = "select run, entity, settled_seq, finished_load_id is not null from metadata.feeds order by 1"
    assert query(feeds) == [
        ("(none refunds)", "refunds", 0, False),
        ("gateway-f", "refunds", 3, True),
        ("gateway-p", "transactions", 1, True),
    ]
    portions = "select upto_seq, events, amounts -> 'INR' ->> 'amount' from metadata.load_feeds where run = 'gateway-f'"
    assert query(f"{portions} order by 1") == [(2, 2, "15.0000"), (None, 1, "7.5000")], "cut in the refunds' own books"


@services
def test_a_total_of_another_entity_than_its_feed_contradicts_it(
    load: Load, refunds: LakeWriter, lake: LakeWriter, gateway: Gateway, query: Query
) -> None:
    lake.commit([payment("t1")])
    refunds.commit(numbered(1, 2))
    load()
    for _ in range(2):
        say(gateway, 2, entity=PAYMENTS, closed=True)
        load()
    assert query("select entity, contradictions, settled_seq from metadata.feeds where run = 'gateway-f'") == [
        ("refunds", 1, 0)
    ]
    assert query("select run, entity, seq from metadata.contradicting_totals") == [("gateway-f", PAYMENTS, 2)]
    say(gateway, 2, closed=True)
    load()
    assert query("select settled_seq, finished_load_id from metadata.feeds where run = 'gateway-f'") == [(2, None)]


@services
@pytest.mark.parametrize("is_known_by", ["its events", "its total, in the same load"])
def test_events_that_name_a_feed_of_another_entity_are_without_one(
    load: Load, lake: LakeWriter, refunds: LakeWriter, gateway: Gateway, query: Query, is_known_by: str
) -> None:
    if is_known_by == "its events":
        lake.commit([payment("t1", run="gateway-p", seq=1)])
        load()
    else:
        say(gateway, 1, "gateway-p", entity=PAYMENTS, topic_id=None)
    refunds.commit([*numbered(1, 2, run="gateway-p"), *numbered(1)])
    load()
    feeds = query("select run, entity, events, seen::text from metadata.feeds order by 1")
    assert feeds == [
        ("(none refunds)", "refunds", 2, "{}"),
        ("gateway-f", "refunds", 1, "{[1,2)}"),
        ("gateway-p", PAYMENTS, *((1, "{[1,2)}") if is_known_by == "its events" else (0, "{}"))),
    ]
    assert query("select count(*) from raw.refunds") == [(3,)]


@services
def test_a_total_that_could_not_learn_its_topic_waits_for_the_entity_s_own_offsets(
    load: Load, lake: LakeWriter, refunds: LakeWriter, gateway: Gateway, query: Query
) -> None:
    lake.commit([payment(f"t{number}") for number in range(5)])
    refunds.commit(numbered(1))
    load()
    refunds.lose(0, 1, "nobody read it")
    say(gateway, 2, closed=True, topic_id=None)
    load()
    lost = "select lost_seqs::text, settled_seq from metadata.feeds where run = 'gateway-f'"
    assert query(lost) == [("{[2,3)}", 2)]


@services
def test_a_loss_of_one_entity_explains_nothing_that_another_lacks(
    load: Load, lake: LakeWriter, refunds: LakeWriter, gateway: Gateway, query: Query
) -> None:
    lake.commit([payment("t1")])
    lake.lose(0, 5, "nobody read them")
    refunds.commit([*numbered(1), refund("other")])
    say(gateway, 2, closed=True, topic_id=None)
    load()
    assert query("select lost_seqs::text, settled_seq from metadata.feeds where run = 'gateway-f'") == [("{}", 0)]
    refunds.lose(0, 1, "nobody read it")
    say(gateway, 3, "gateway-g", closed=True, topic_id=None, last_offsets={0: 2})
    load()
    assert query("select settled_seq from metadata.feeds where run = 'gateway-g'") == [(0,)], "3 are missing, 1 is lost"


@services
def test_silver_of_both_is_made_again_and_equal(
    database: OwnDatabase, load: Load, lake: LakeWriter, refunds: LakeWriter, layout: Layout, query: Query
) -> None:
    for number in range(2):
        refunds.commit([*numbered(number + 1), refund("same"), dead_letter()])
        lake.commit([payment(f"t{number}"), payment("same"), dead_letter()])
        load()
    rows = "select refund_id, status, load_id, content_hash from raw.refunds order by 1"
    before = query(rows)
    query("update raw.refunds set amount = 8 where refund_id = 'same'")
    query("delete from raw.duplicate_refunds")
    done = rebuild_silver(database, layout, lambda _: None)
    assert query(rows) == before
    assert done["books"]["refunds"] == {"INR": [3, "22.5000"]}
    assert done["books"]["duplicate_refunds"] == {"INR": [1, "7.5000"]}
    assert (done["loads"], done["books"]["transactions"]["INR"][0], done["kept"]["refunds"]) == (4, 3, 0)


@services
def test_a_lost_refund_comes_back_to_its_load_by_a_backfill(
    database: OwnDatabase, load: Load, lake: LakeWriter, refunds: LakeWriter, layout: Layout, query: Query
) -> None:
    lake.commit([payment("t1")])
    refunds.commit([refund("r1"), refund("r2")])
    load()
    query("delete from raw.refunds where refund_id = 'r2'")
    local_day = date(2026, 11, 20)
    with open_backfill(database, layout, REFUNDS, None) as work:
        backfill_id, _ = work.open("a test")
        assert work.days(local_day, local_day, {}) == [local_day]
        assert work.read_day(backfill_id, local_day, {})["rows_loaded"] == 1
    assert query("select load_id from raw.refunds where refund_id = 'r2'") == [(2,)]
    assert query("select entity from metadata.load_audit order by load_id desc limit 1") == [("refunds",)]
    assert query("select entity from metadata.backfills") == [("refunds",)]


@services
def test_a_table_that_was_made_anew_is_found_among_all_entities(
    database: OwnDatabase, load: Load, lake: LakeWriter, refunds: LakeWriter, layout: Layout, query: Query
) -> None:
    lake.commit([payment("t1")])
    refunds.commit([refund("r1")])
    load()
    refunds.bronze.remove()
    again = LakeWriter(layout, TOPIC, REFUNDS)
    again.write(again.bronze, again.deliver([refund("r1")]), {0: 0}, {0: 1})
    with pytest.raises(TieoutError, match="another table"):
        load()
    failed = "select entity, error_code from metadata.load_audit where status = 'FAILED' order by load_id"
    assert query(failed) == [("refunds", "TieoutError")]
    accept_table(table_id(again.bronze), "made anew", settings=database, layout=layout)
    assert query(failed)[1:] == [("refunds", "TABLE_ACCEPTED")]
    assert [(entry["entity"], entry["already_loaded"]) for entry in load()] == [("refunds", 1)]


@services
def test_what_waits_and_what_was_left_is_said_of_every_entity(
    database: OwnDatabase, load: Load, lake: LakeWriter, refunds: LakeWriter, layout: Layout
) -> None:
    now = datetime.now(UTC)
    refunds.commit([refund("r1"), refund("r2")])
    found = look_at_bronze(layout, database, now)
    assert (found["rows_waiting"], found["newest_arrival"][:10]) == (2, "2026-11-20")
    lake.commit([payment("t1")])
    run_loads(database, layout, run_id="one", say=lambda _: None)
    assert look_at_loads(layout, database, "one", now) == {
        **{"run_id": "one", "loads": [1, 2], "rows_read": 3, "rows_in_range": 3, "silent_loads": []},
        "rows_left_behind": 0,
    }
    refunds.commit([refund("r3")])
    assert [each["rows_waiting"] for each in look_at_bronze(layout, database, now)["entities"]] == [0, 1]
    assert look_at_loads(layout, database, "one", now + timedelta(hours=1))["rows_left_behind"] == 1


@services
def test_an_entity_that_rests_does_not_keep_the_books_of_another(
    database: OwnDatabase, load: Load, lake: LakeWriter, refunds: LakeWriter, query: Query
) -> None:
    refunds.commit([refund("r1"), dead_letter()])
    load()
    for number in range(3):
        lake.commit([payment(f"t{number}")])
        load()
    query("update metadata.load_audit set started_at = started_at - interval '60 days', "
          "finished_at = finished_at - interval '60 days'")  # fmt: skip
    query("update raw.dead_letters set arrived_at = arrived_at - interval '60 days'")
    limit = datetime.now(UTC) - timedelta(days=30)
    query("select metadata.prune_quality()")
    assert query("select distinct entity from metadata.data_quality_days order by 1") == [("refunds",), (PAYMENTS,)]
    assert expire(database, {"loads": limit, "dead_letters": limit}) == {"loads": 2, "dead_letters": 1}
    assert query("select load_id from metadata.load_offsets order by 1") == [(1,), (4,)]
    floors = (
        "select book, entity, sum(count)::int from metadata.retention_floor where topic_id is not null group by 1, 2"
    )
    assert sorted(query(floors)) == [("DEAD_LETTERS", "refunds", 1), ("LOADS", PAYMENTS, 2)]


def test_a_total_says_its_entity_and_one_of_before_is_of_payments() -> None:
    total = ControlTotal(
        "gateway-f", 1, False, {"INR": Money(1, Decimal("7.50"))}, {0: 0}, sent_at=AT, entity="refunds"
    )
    assert parse_control_total(total.value()) == total
    named = b'"entity": "refunds", '
    assert parse_control_total(total.value().replace(named, b"")) == replace(total, entity=PAYMENTS)
    for wrong in (b'"entity": "chargebacks", ', b'"entity": 1, '):
        with pytest.raises(ControlTotalError):
            parse_control_total(total.value().replace(named, wrong))
    for run in ("(none)", "(none refunds)"):
        with pytest.raises(ControlTotalError, match="no feed's id"):
            parse_control_total(replace(total, run=run).value())


# What names the payments: the loader's modules work for every entity, and none of them may say it.
OF_PAYMENTS = re.compile(
    r"raw\.transactions|rejected_transactions|raw\.duplicates|raw_transactions|topics\[\"transactions\"\]"
    r"|fact_transactions|daily_revenue|transaction_id|PENDING|payment_method|merchant_category|is_fraud"
)
GENERAL = (
    *(
        "accept",
        "arrivals",
        "audit",
        "backfill",
        "columns",
        "conflict",
        "control_topic",
        "copy",
        "cuts",
        "dead_letters",
    ),
    *("delta_log", "feeds", "fresh", "freshness", "gaps", "hints", "load", "loader", "losses", "plan", "quality"),
    *("read", "rebuild", "settle", "stage", "statuses", "control_totals", "totals", "watermark"),
)


def test_no_module_of_the_loader_names_a_table_or_a_field_of_payments() -> None:
    folder = CHECKOUT / "warehouse" / "warehouse"
    files = [*(folder / f"{name}.py" for name in GENERAL), *(CHECKOUT / "contracts" / "contracts" / f"{name}.py"
             for name in ("control_total", "rules"))]  # fmt: skip
    lines = [(file.name, line) for file in files for line in Path(file).read_text(encoding="utf-8").splitlines()]
    assert len(lines) > 3000
    assert [(name, line) for name, line in lines if OF_PAYMENTS.search(line)] == []
