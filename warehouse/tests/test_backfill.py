"""A range read again: nothing twice, what was lost comes back to its load, and a cut short one goes on."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from lake_writer import LakeWriter, payment
from own_database import OwnDatabase

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.errors import TieoutError
from core.layout import Layout
from warehouse.backfill import open_backfill
from warehouse.load import run_loads
from warehouse.proof import run_proof

pytestmark = pytest.mark.services

FIRST = datetime(2026, 11, 17, 12, tzinfo=UTC)


def fill(database: OwnDatabase, layout: Layout, lake: LakeWriter) -> list[int]:
    for batch in range(2):
        lake.commit(
            [
                payment(
                    f"t{batch}{n}", occurred_at=FIRST + timedelta(days=n % 3), amount=Decimal("5.00" if n else "7.00")
                )
                for n in range(12)
            ]
            + [payment(f"t{batch}0", occurred_at=FIRST, amount=Decimal("7.00"))]
        )
    return [load["load_id"] for load in run_loads(database.model_copy(update={"max_rows_per_load": 13}), layout)]


def read_again(database: OwnDatabase, layout: Layout, days: list[date], offsets: Any = None) -> dict[date, Any]:
    with open_backfill(database, layout, load_entity(PAYMENTS), "r1") as work:
        backfill_id, _ = work.open("a test")
        found = work.days(days[0] if days else None, days[-1] if days else None, offsets or {})
        done = {day: work.read_day(backfill_id, day, offsets or {}) for day in found}
        work.close(backfill_id, None)
    return done


def totals(query: Any) -> Any:
    return query(
        "select load_id, (select count(*) from raw.transactions t where t.load_id = a.load_id),"
        " (select count(*) from raw.duplicates t where t.load_id = a.load_id) from metadata.load_audit a order by 1"
    )


def test_what_is_there_is_counted_and_what_was_lost_comes_back_to_its_own_load(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any
) -> None:
    loads = fill(database, layout, lake)
    days = [FIRST.date() + timedelta(days=n) for n in range(3)]
    whole = totals(query)
    first = read_again(database, layout, days)
    assert list(first) == days
    assert [(day["rows_read"], day["already_loaded"]) for day in first.values()] == [(10, 10), (8, 8), (8, 8)]

    query("delete from raw.transactions where transaction_id in ('t01', 't10')")
    query("delete from raw.duplicates where load_id = %s", loads[1])
    assert not run_proof(full=True, settings=database, layout=layout)["ok"]
    again = read_again(database, layout, days)
    assert [(d["rows_loaded"], d["duplicates"]) for d in again.values()] == [(1, 1), (1, 0), (0, 0)]
    assert totals(query)[:2] == whole[:2]
    assert sorted(query("select distinct unnest(restored_loads) from metadata.backfill_days")) == [
        (load,) for load in loads
    ]
    for full in (False, True):
        proof = run_proof(full=full, settings=database, layout=layout)
        assert [e for e in proof["equations"] if e["verdict"] == "DIFFERENT"] == []


def test_what_was_lost_is_judged_in_the_order_of_the_loads_that_it_is_of(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any
) -> None:
    for seq in (3, 2, 1):  # the first loaded stands, whatever its feed or the broker's clock says
        arrived_at = FIRST + timedelta(seconds=seq)
        event = {"run": "feed-1", "seq": seq, "amount": Decimal(seq), "arrived_at": arrived_at, "partition": seq}
        lake.commit([payment(**event, occurred_at=FIRST)])
        run_loads(database, layout)
    books = [
        "select seq, load_id, array['NEW'] from raw.transactions",
        "select seq, load_id, reasons from raw.rejected_transactions order by 1",
    ]
    whole = [query(book) for book in books]
    assert whole[0] == [(3, 1, ["NEW"])]
    query("delete from raw.transactions")
    query("delete from raw.rejected_transactions")
    read_again(database, layout, [FIRST.date()])
    assert [query(book) for book in books] == whole
    assert query("select distinct conflict -> 'standing' ->> 'seq' from raw.rejected_transactions") == [("3",)]


def test_a_backfill_of_offsets_finds_its_days_and_a_cut_short_one_goes_on(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any
) -> None:
    fill(database, layout, lake)
    partition, low, high = query('select partition, min("offset"), max("offset") from raw.transactions group by 1')[0]
    done = read_again(database, layout, [], {partition: (low, high + 1)})
    assert sum(day["rows_read"] for day in done.values()) >= high - low
    with open_backfill(database, layout, load_entity(PAYMENTS), "r1") as work:
        backfill_id, before = work.open("cut short")
        assert before == {}
        work.read_day(backfill_id, FIRST.date(), {})
    with open_backfill(database, layout, load_entity(PAYMENTS), "r2") as work:
        again, before = work.open("cut short")
        assert again == backfill_id
        assert list(before) == [FIRST.date()]
        assert before[FIRST.date()]["already_loaded"] == 10


def test_what_no_load_has_taken_is_left_to_the_load(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any
) -> None:
    fill(database, layout, lake)
    lake.commit([payment("late", occurred_at=FIRST)])
    assert read_again(database, layout, [FIRST.date()])[FIRST.date()]["rows_read"] == 10
    assert query("select count(*) from raw.transactions where transaction_id = 'late'") == [(0,)]


def test_two_backfills_of_one_request_read_each_day_once(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any
) -> None:
    fill(database, layout, lake)
    day = FIRST.date()
    with (
        open_backfill(database, layout, load_entity(PAYMENTS), "r1") as one,
        open_backfill(database, layout, load_entity(PAYMENTS), "r2") as other,
    ):
        backfill_id, _ = one.open("both")
        assert other.open("both") == (backfill_id, {})
        assert one.read_day(backfill_id, day, {}) == other.read_day(backfill_id, day, {})
    assert query("select count(*) from metadata.backfill_days") == [(1,)]
    assert query("select count(*) from metadata.load_audit") == [(3,)]


def test_a_refusal_of_the_database_names_no_row(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any
) -> None:
    fill(database, layout, lake)
    query("delete from raw.transactions")
    query("alter table raw.transactions add constraint nobody check (customer_name <> 'Asha Iyer') not valid")
    try:
        with pytest.raises(TieoutError, match="23514, constraint nobody, table transactions") as refusal:
            read_again(database, layout, [FIRST.date()])
    finally:
        query("alter table raw.transactions drop constraint nobody")
    assert "Asha" not in str(refusal.value)
    assert refusal.value.__suppress_context__


def test_what_an_unfinished_backfill_did_long_ago_is_read_again(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any
) -> None:
    fill(database, layout, lake)
    day = FIRST.date()
    with open_backfill(database, layout, load_entity(PAYMENTS), "r1") as work:
        backfill_id, _ = work.open("cut short")
        work.read_day(backfill_id, day, {})
    query("update metadata.backfill_days set done_at = done_at - interval '25 hours'")
    query("delete from raw.transactions where transaction_id = 't00'")
    with open_backfill(database, layout, load_entity(PAYMENTS), "r2") as work:
        assert work.open("cut short") == (backfill_id, {})
        assert work.read_day(backfill_id, day, {})["rows_loaded"] == 1
        assert list(work.open("cut short")[1]) == [day]
    verdicts = run_proof(full=True, settings=database, layout=layout)["equations"]
    assert {e["verdict"] for e in verdicts if e["name"] in ("E1", "E2")} == {"OK"}


@pytest.mark.parametrize(
    ("offsets", "said"),
    [
        ({7: (0, 10)}, "no load has read offset 0 of partition 7; they have read 0 up to offset 25"),
        ({0: (26, 30)}, "no load has read offset 26 of partition 0"),
        ({0: (0, 5), 999_999_999: (10**17, 10**18)}, "of partition 999999999"),
    ],
)
def test_offsets_that_no_load_has_read_are_refused(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any, offsets: Any, said: str
) -> None:
    fill(database, layout, lake)
    with open_backfill(database, layout, load_entity(PAYMENTS), "r1") as work:
        work.check({0: (0, 10**18)})
        with pytest.raises(TieoutError, match=said):
            work.check(offsets)
    assert query("select count(*) from metadata.backfills") == [(0,)]


def test_a_range_at_the_ends_of_the_calendar_is_a_range_like_others(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any
) -> None:
    loads = fill(database, layout, lake)
    end = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    lake.commit([payment("never", occurred_at=end, utc_offset_minutes=330), payment("first", occurred_at=FIRST)])
    run_loads(database, layout)
    assert query("select transaction_id from raw.rejected_transactions") == [("never",)]
    days = [date.min, date.max]
    found = read_again(database, layout, days)
    assert list(found) == [*(FIRST.date() + timedelta(days=n) for n in range(3)), date.max]
    assert {day["already_loaded"] == day["rows_read"] > 0 for day in found.values()} == {True}
    for day in days:
        assert list(read_again(database, layout, [day, day])) == [each for each in (date.max,) if each == day]
    assert list(read_again(database, layout, [], {0: (26, 27)})) == [date.max]
    assert loads


@pytest.mark.parametrize("before", ["the first load", "the lake is read again"])
def test_a_backfill_before_a_load_is_refused(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any, before: str
) -> None:
    if before == "the first load":
        lake.commit([payment("a", occurred_at=FIRST)])
    else:
        fill(database, layout, lake)
        query("update metadata.load_watermark set ends = '{}', version = -1")
    with pytest.raises(TieoutError, match="no load has read the lake yet"):
        read_again(database, layout, [FIRST.date()])
    assert query("select count(*) from metadata.backfill_days") == [(0,)]
