"""From the lake to silver: where each row goes, and what a load writes down."""

import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from traceback import format_exception
from typing import Any

import psycopg
import pytest
from lake_writer import FIRST_ARRIVAL, LakeWriter, dead_letter, payment
from own_database import OwnDatabase

from core.errors import TieoutError
from core.layout import Layout
from core.settings import Settings
from warehouse.load import run_loads

pytestmark = pytest.mark.services
Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]


def books(query: Query) -> dict[str, list[Any]]:
    """Return the offsets of partition 0 by where they are."""
    found = {"NEW": 'select "offset" from raw.transactions order by 1'}
    found["DUPLICATE"] = 'select "offset" from raw.duplicates order by 1'
    placed = {name: [offset for (offset,) in query(text)] for name, text in found.items()}
    for offset, reasons in query('select "offset", reasons from raw.rejected_transactions order by 1'):
        placed.setdefault(",".join(reasons), []).append(offset)
    return {name: offsets for name, offsets in placed.items() if offsets}


def test_without_a_lake_there_is_nothing_to_load(load: Load) -> None:
    assert load() == []


def test_a_payment_reaches_silver_with_every_field(load: Load, lake: LakeWriter, query: Query) -> None:
    status_at = FIRST_ARRIVAL - timedelta(seconds=5)
    sent = payment(run="feed-1", seq=7, status_at=status_at, redrive_of="0:3", customer_name='O"Brien,\n\\.', city="")
    lake.commit([sent])
    assert [each["status"] for each in load()] == ["SUCCESS"]
    names = [*(name for name in sent if name not in {"status_at", "unknown_fields"}), "status_at"]
    ((row),) = query(f"select {', '.join(names)} from raw.transactions")
    assert dict(zip(names, row, strict=True)) == {name: sent[name] for name in names}
    assert query("select known_at = %s + interval '1 ms' from raw.transactions", FIRST_ARRIVAL) == [(True,)]


def test_without_header_the_status_was_reached_at_arrival(load: Load, lake: LakeWriter, query: Query) -> None:
    lake.commit([payment()])
    load()
    assert query("select status_at = known_at from raw.transactions") == [(True,)]


@pytest.mark.parametrize("try_fresh", [True, False])
@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({"amount": Decimal(0)}, ["AMOUNT_NOT_POSITIVE"]),
        ({"customer_id": None}, ["CUSTOMER_ID_MISSING"]),
        ({"customer_id": "  "}, ["CUSTOMER_ID_MISSING"]),
        ({"currency": "XXX"}, ["CURRENCY_UNKNOWN"]),
        ({"status": "REFUNDED"}, ["STATUS_UNKNOWN"]),
        ({"status": "FAILED", "failure_reason": None}, ["FAILURE_REASON_MISSING"]),
        ({"occurred_at": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)}, ["TIMESTAMP_IN_FUTURE"]),
        ({"occurred_at": datetime(1, 1, 1, tzinfo=UTC)}, ["TIMESTAMP_TOO_EARLY"]),
        (
            {"amount": Decimal(-1), "customer_id": None, "processing_seconds": Decimal(-1), "merchant_name": "x" * 201},
            ["CUSTOMER_ID_MISSING", "MERCHANT_NAME_TOO_LONG", "AMOUNT_NOT_POSITIVE", "PROCESSING_TIME_NEGATIVE"],
        ),
    ],
)
def test_an_invalid_event_is_rejected_with_every_broken_rule(
    load: Load, lake: LakeWriter, query: Query, changed: dict[str, Any], reasons: list[str], try_fresh: bool
) -> None:
    lake.commit([{**payment("bad"), **changed}, payment("good")])
    (result,) = load(try_fresh=try_fresh)
    assert (result["rows_loaded"], result["rejected"]) == (1, 1)
    assert query("select transaction_id, reasons from raw.rejected_transactions") == [("bad", reasons)]


def test_an_unknown_field_is_counted_and_not_rejected(load: Load, lake: LakeWriter, query: Query) -> None:
    lake.commit([payment(unknown_fields=2), payment("t2")])
    assert load()[0]["rows_loaded"] == 2
    assert query(
        "select rows_checked, rows_broken from metadata.data_quality_metrics where metric = 'UNKNOWN_FIELDS'"
    ) == [(2, 1)]


def test_dead_letters_are_listed_with_reasons_and_coordinates(load: Load, lake: LakeWriter, query: Query) -> None:
    lake.commit([dead_letter("AMOUNT_TYPE", "TIMESTAMP_FORMAT", raw_value=b"12345"), payment()])
    (result,) = load()
    assert (result["rows_read"], result["dead_letters"]) == (1, 1)
    assert query('select partition, "offset", reasons, value_bytes from raw.dead_letters') == [
        (0, 0, ["AMOUNT_TYPE", "TIMESTAMP_FORMAT"], 5)
    ]


PENDING, SUCCESS, FAILED = (payment(status=status) for status in ("PENDING", "SUCCESS", "FAILED"))


@pytest.mark.parametrize("try_fresh", [True, False])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([SUCCESS, SUCCESS], {"NEW": [0], "DUPLICATE": [1]}),
        ([SUCCESS, payment(amount=Decimal(1))], {"NEW": [0], "CONFLICTING_DUPLICATE": [1]}),
        ([FAILED, {**FAILED, "failure_reason": "OTHER"}], {"NEW": [0], "CONFLICTING_DUPLICATE": [1]}),
        ([PENDING, SUCCESS, PENDING], {"NEW": [0, 1], "DUPLICATE": [2]}),
        ([SUCCESS, PENDING], {"NEW": [0, 1]}),
        ([SUCCESS, FAILED, FAILED], {"NEW": [0], "CONTRADICTING_STATUS": [1, 2]}),
        ([PENDING, {**SUCCESS, "amount": Decimal(5)}, SUCCESS], {"NEW": [0, 2], "SETTLEMENT_MISMATCH": [1]}),
        ([PENDING, {**SUCCESS, "customer_id": "c2"}], {"NEW": [0], "SETTLEMENT_MISMATCH": [1]}),
        ([PENDING, {**SUCCESS, "occurred_at": FIRST_ARRIVAL}], {"NEW": [0], "SETTLEMENT_MISMATCH": [1]}),
        ([PENDING, {**SUCCESS, "utc_offset_minutes": 0}], {"NEW": [0, 1]}),  # the same instant
        ([{**PENDING, "amount": Decimal(-1)}, SUCCESS], {"AMOUNT_NOT_POSITIVE": [0], "NEW": [1]}),
    ],
)
def test_rows_of_one_transaction_go_where_the_order_says(
    load: Load, lake: LakeWriter, query: Query, events: list[Any], expected: Any, together: bool, try_fresh: bool
) -> None:
    for batch in [events] if together else [[event] for event in events]:
        lake.commit(batch)
        load(try_fresh=try_fresh)
    assert books(query) == expected


def test_a_clash_with_an_earlier_load_falls_back_to_the_stage(load: Load, lake: LakeWriter, query: Query) -> None:
    lake.commit([payment("t3"), payment("t5")])
    assert load()[0]["path"] == "FRESH"
    lake.commit([payment(f"t{number}", city="x" * 20) for number in range(60)])
    (result,) = load()
    assert (result["path"], result["rows_loaded"], result["rejected"]) == ("STAGE", 58, 2)


def test_a_refusal_in_the_middle_of_the_copy_leaves_the_workspace_free(
    load: Load, lake: LakeWriter, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, parts = psycopg.Copy.write, []

    def refuse_the_second_part(copy: "psycopg.Copy[Any]", part: bytes) -> None:
        parts.append(part)
        if len(parts) == 3:  # the first is the header
            raise psycopg.errors.UniqueViolation
        write(copy, part)

    monkeypatch.setattr("warehouse.copy.BATCH_ROWS", 2048)
    monkeypatch.setattr(psycopg.Copy, "write", refuse_the_second_part)
    # More than DuckDB keeps ready of a result, so that it is still open.
    lake.commit([payment(f"t{number}", city="x" * 100) for number in range(20_000)])
    (result,) = load()
    assert (result["path"], result["rows_loaded"]) == ("STAGE", 20_000)


def test_only_clashing_transactions_take_the_stage_path(load: Load, lake: LakeWriter, query: Query) -> None:
    lake.commit([payment("t1"), payment("t2"), payment("t1"), payment("t3", amount=Decimal(-1))])
    (result,) = load()
    assert (result["path"], result["rows_loaded"], result["duplicates"], result["rejected"]) == ("STAGE", 2, 1, 1)


def test_a_second_load_finds_nothing(load: Load, lake: LakeWriter, query: Query) -> None:
    lake.commit([payment()])
    assert len(load()) == 1
    assert load() == []
    assert query("select count(*) from metadata.load_audit") == [(1,)]


@pytest.mark.parametrize("try_fresh", [True, False])
def test_a_lost_watermark_makes_rows_already_loaded(
    load: Load, lake: LakeWriter, query: Query, try_fresh: bool
) -> None:
    lake.commit([SUCCESS, SUCCESS, payment("bad", amount=Decimal(0)), dead_letter(), payment("t2")])
    load()
    query("delete from metadata.load_watermark")
    lake.commit([payment("t3")])
    (again,) = load(try_fresh=try_fresh)
    counts = {name: again[name] for name in ("rows_read", "rows_loaded", "already_loaded", "duplicates", "rejected")}
    assert counts == {"rows_read": 5, "rows_loaded": 1, "already_loaded": 4, "duplicates": 0, "rejected": 0}
    assert again["dead_letters"] == 0


def test_the_limit_cuts_between_commits(load: Load, lake: LakeWriter, query: Query) -> None:
    for batch in range(5):
        lake.commit([payment(f"t{batch}-{number}") for number in range(3)])
    results = load(max_rows_per_load=7)
    assert [(each["versions"], each["rows_read"]) for each in results] == [([0, 1], 6), ([2, 3], 6), ([4, 4], 3)]
    assert query("select count(*) from raw.transactions") == [(15,)]


def test_a_load_writes_its_totals_and_metrics(load: Load, lake: LakeWriter, query: Query) -> None:
    lake.commit([payment("a"), payment("b", amount=Decimal(-2)), payment("c", currency="USD", amount=Decimal("0.10"))])
    load()
    assert query("select book, currency, count, amount from metadata.load_totals order by 1, 2") == [
        ("BRONZE", "INR", 2, Decimal("105.23")),
        ("BRONZE", "USD", 1, Decimal("0.10")),
        ("NEW", "INR", 1, Decimal("107.23")),
        ("NEW", "USD", 1, Decimal("0.10")),
        ("REJECTED", "INR", 1, Decimal("-2.00")),
    ]
    metrics = "select currency, rows_checked, rows_broken, amount_concerned from metadata.data_quality_metrics "
    assert query(f"{metrics} where rule = 'AMOUNT_NOT_POSITIVE' order by 1") == [
        ("INR", 2, 1, Decimal(-2)),
        ("USD", 1, 0, Decimal(0)),
    ]
    assert query(f"{metrics} where metric = 'NULLS' and rule = 'failure_reason'") == [(None, 3, 3, None)]


def test_a_commit_that_lost_rows_fails_the_load_and_shows(load: Load, lake: LakeWriter, query: Query) -> None:
    lake.commit([payment("a"), payment("b")], rows=3)
    with pytest.raises(TieoutError, match="say 3 rows"):
        load()
    assert query("select status, error_code from metadata.load_audit") == [("FAILED", "LakeMismatchError")]
    assert query("select count(*) from raw.transactions") == [(0,)]


def test_offsets_without_rows_fail_the_load(load: Load, lake: LakeWriter, query: Query) -> None:
    lake.commit([payment("a")], end={"0": 4})
    with pytest.raises(TieoutError, match="4 offsets to 4 are to be loaded"):
        load()
    assert query("select count(*) from raw.transactions") == [(0,)]


def test_a_lost_file_fails_the_load(load: Load, lake: LakeWriter, layout: Layout, query: Query) -> None:
    lake.commit([payment("a")])
    shutil.rmtree(layout.data / "raw_transactions" / "year=2026")
    with pytest.raises(TieoutError, match="the lake cannot be read"):
        load()
    assert query("select status from metadata.load_audit") == [("FAILED",)]


def test_an_empty_success_over_rows_is_refused_by_the_database(query: Query) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="success_is_complete"):
        query("""
            insert into metadata.load_audit (status, finished_at, rows_expected, rows_read, rows_loaded, duplicates,
                rejected, already_loaded, dead_letters_expected, dead_letters_read, dead_letters)
            values ('SUCCESS', now(), 5, 0, 0, 0, 0, 0, 0, 0, 0)
        """)


def test_compaction_moves_the_watermark_and_makes_no_load(
    load: Load, lake: LakeWriter, layout: Layout, query: Query
) -> None:
    lake.commit([payment("a")])
    load()
    action = {"commitInfo": {"operation": "OPTIMIZE"}}
    (layout.data / "raw_transactions" / "_delta_log" / f"{1:020}.json").write_text(json.dumps(action))
    assert load() == []
    assert query("select version from metadata.load_watermark where lake_table = 'raw_transactions'") == [(1,)]


def test_a_database_error_leaves_no_payment_behind(
    load: Load, lake: LakeWriter, database: OwnDatabase, query: Query
) -> None:
    query("alter table raw.transactions add constraint no_mumbai check (city <> 'Mumbai')")
    try:
        lake.commit([payment("secret-id", city="Mumbai")])
        with pytest.raises(TieoutError) as raised:
            load()
    finally:
        query("alter table raw.transactions drop constraint no_mumbai")
    ((code, detail),) = query("select error_code, error_detail from metadata.load_audit")
    assert code == "23514"
    assert detail.startswith("constraint no_mumbai, table transactions, offsets 0:0-1 of topic")
    assert "secret-id" not in detail + "".join(format_exception(raised.value))


def test_a_cancelled_load_is_marked_failed_at_once(
    load: Load, lake: LakeWriter, database: OwnDatabase, query: Query
) -> None:
    lake.commit([payment("a")])
    waiting = "from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"

    def cancel() -> None:
        with database.connect() as connection:
            while not connection.execute(f"select pg_cancel_backend(pid) {waiting}").fetchall():
                time.sleep(0.05)

    with database.connect() as holder, holder.transaction(), ThreadPoolExecutor() as pool:
        holder.execute("lock table raw.transactions in access exclusive mode")
        cancelled = pool.submit(cancel)
        with pytest.raises(TieoutError, match="failed with 57014"):
            load()
        cancelled.result(10)
    assert query("select status, error_code from metadata.load_audit") == [("FAILED", "57014")]


def test_a_second_loader_is_told(load: Load, lake: LakeWriter, database: OwnDatabase) -> None:
    lake.commit([payment("a")])
    with database.connect("loader") as other:
        other.execute("select pg_advisory_lock(%s)", [0x6C6F61646572])
        with pytest.raises(TieoutError, match=r"another load is running: role postgres, server process \d+"):
            load(loader_lock_wait_seconds=0.3)
    assert len(load()) == 1


def test_a_database_that_is_away_gives_one_clear_error(layout: Layout, lake: LakeWriter) -> None:
    lake.commit([payment("a")])
    away = Settings(postgres_port=1, postgres_password_loader="x")  # type: ignore[arg-type]
    with pytest.raises(TieoutError, match=r"cannot be reached.*refused"):
        run_loads(away, layout)


def test_a_missing_password_names_the_set_up(layout: Layout, lake: LakeWriter) -> None:
    lake.commit([payment("a")])
    with pytest.raises(TieoutError, match=r"POSTGRES_PASSWORD_LOADER.*\n.*setup\.sh"):
        run_loads(Settings(postgres_password_loader=None), layout)


def test_a_single_huge_commit_is_read_with_little_memory(load: Load, lake: LakeWriter, layout: Layout) -> None:
    lake.commit([payment(f"t{number}") for number in range(3000)])
    assert load(max_rows_per_load=10, loader_memory="64MB")[0]["rows_loaded"] == 3000
    assert not list(layout.state.rglob("load-*")), "spilled payments stay nowhere"
