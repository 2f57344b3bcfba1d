"""The contract's rules and the hashes as SQL: one verdict, in DuckDB and in PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from lake_writer import BRONZE_SCHEMA, FIRST_ARRIVAL, payment

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from contracts.rules import event_rules, identity_sql, reasons_sql, status_sql

CONTRACT = load_entity(PAYMENTS)
BROKEN: dict[str, dict[str, Any]] = {
    "TRANSACTION_ID_BLANK": {"transaction_id": " \t\n\x0b\x0c"},
    "CUSTOMER_ID_MISSING": {"customer_id": None},
    "MERCHANT_NAME_MISSING": {"merchant_name": "\u00a0\u200b\u2003"},
    "MERCHANT_CATEGORY_MISSING": {"merchant_category": None},
    "AMOUNT_NOT_POSITIVE": {"amount": Decimal(0)},
    "CURRENCY_UNKNOWN": {"currency": "XXX"},
    "STATUS_UNKNOWN": {"status": "Success"},
    "PAYMENT_METHOD_UNKNOWN": {"payment_method": None},
    "FAILURE_REASON_MISSING": {"status": "FAILED", "failure_reason": "\u3000\ufeff"},
    "FAILURE_REASON_UNEXPECTED": {"failure_reason": "WHY"},
    "PROCESSING_TIME_NEGATIVE": {"processing_seconds": Decimal("-0.0001")},
    "FEE_PERCENT_OUT_OF_RANGE": {"fee_percent": Decimal("100.0001")},
    "TIMESTAMP_IN_FUTURE": {"occurred_at": FIRST_ARRIVAL + timedelta(days=1, microseconds=1)},
    "TIMESTAMP_TOO_EARLY": {"occurred_at": datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)},
    **{f"{f.name.upper()}_TOO_LONG": {f.name: "é" * (f.max_length + 1)} for f in CONTRACT.fields if f.max_length},
}
BROKEN["FAILURE_REASON_TOO_LONG"]["status"] = "FAILED"
FINE = [
    payment(),
    payment(status="PENDING"),
    payment(status="FAILED"),
    payment(customer_name=None, city=None, state=None, country=None, device_type=None, ip_address=None, is_fraud=None),
    payment(processing_seconds=Decimal("0.0001"), customer_segment="SMB", fee_percent=Decimal(100)),
    payment(occurred_at=FIRST_ARRIVAL + timedelta(days=1), amount=Decimal("0.0001"), customer_name="é" * 200),
    payment(occurred_at=datetime(2000, 1, 1, tzinfo=UTC), amount=Decimal("9999999999999999.9999"), customer_name=""),
]


def rows() -> list[dict[str, Any]]:
    events = [*FINE, *(payment(**{"transaction_id": "t1", **changed}) for changed in BROKEN.values())]
    return [{**event, "arrived_at": FIRST_ARRIVAL} for event in events]


def verdicts() -> list[tuple[str, str, str]]:
    names = [*(field.stored_as for field in CONTRACT.fields), "utc_offset_minutes", "arrived_at"]
    events = pa.Table.from_pylist(
        [{name: row.get(name) for name in names} for row in rows()],
        pa.schema([BRONZE_SCHEMA.field(name) for name in names]),
    )
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("events", events)
        return connection.execute(_query(CONTRACT)).fetchall()


def _query(entity: Any) -> str:
    identity = identity_sql(entity)
    return f"select {reasons_sql(entity)}, md5({identity}), md5({identity} || {status_sql(entity)}) from events"


def test_every_rule_has_an_example_that_breaks_it() -> None:
    assert set(BROKEN) == set(event_rules(CONTRACT))


def test_each_example_breaks_its_rule_and_no_other() -> None:
    reasons = [reason for reason, _, _ in verdicts()]
    assert reasons == [*("" for _ in FINE), *BROKEN]


def test_a_null_breaks_the_rule_that_asks_for_a_value() -> None:
    with duckdb.connect() as connection:
        connection.execute("create table events as select null::decimal(20,4) as amount")
        passes = connection.execute("select coalesce(amount > 0, false) from events").fetchall()
    assert passes == [(False,)]
    assert "coalesce(amount > 0, false)" in reasons_sql(CONTRACT)


def test_hashes_are_those_that_silver_holds_of_old() -> None:
    """Silver keeps them for good: others make a conflict of each event that comes again. Migration 0018 made these."""
    of = {reasons: (identity, content) for reasons, identity, content in verdicts()}
    assert of[""] == ("b377a4b2c810d4a602df988b4b72492b", "0d34fcc0af53a36feb414a8a3e86a00a")
    assert of["TIMESTAMP_IN_FUTURE"] == ("76388d16bf52a7ea4caceab0b3c4c603", "7cf37a8b0243bb7e3056eaeac523ad4e")


def test_hashes_tell_null_from_empty_and_shifted_text_apart() -> None:
    def hash_of(**changed: Any) -> str:
        event = pa.Table.from_pylist([{**payment(**changed), "arrived_at": FIRST_ARRIVAL}], BRONZE_SCHEMA)
        with duckdb.connect() as connection:
            connection.register("events", event)
            return str(connection.execute(f"select md5({identity_sql(CONTRACT)}) from events").fetchall()[0][0])

    hashes = [
        hash_of(city=None, state="Karnataka"),
        hash_of(city="", state="Karnataka"),
        hash_of(city="Karnataka", state=None),
        hash_of(city="Karna", state="taka"),
        hash_of(city="-", state="Karnataka"),
        hash_of(occurred_at=datetime(2026, 11, 19, 8, 30, 0, 123457, tzinfo=UTC)),
    ]
    assert len(set(hashes)) == len(hashes)
    assert hash_of(amount=Decimal("107.2300")) == hash_of(status="FAILED")
    assert hash_of(utc_offset_minutes=0) == hash_of(utc_offset_minutes=330)  # the same instant


@pytest.mark.services
def test_duckdb_and_postgresql_judge_and_hash_alike(query: Callable[..., list[tuple[Any, ...]]]) -> None:
    columns = [f"{field.stored_as} {field.postgres_type}" for field in CONTRACT.fields]
    query(f"create temporary table events ({', '.join(columns)}, utc_offset_minutes smallint, arrived_at timestamptz)")
    names = [*(field.stored_as for field in CONTRACT.fields), "utc_offset_minutes", "arrived_at"]
    for row in rows():
        query(f"insert into events values ({', '.join(['%s'] * len(names))})", *map(row.get, names))
    assert query(_query(CONTRACT)) == verdicts()


@pytest.mark.services
def test_every_event_rule_is_a_check_of_silver(query: Callable[..., list[tuple[Any, ...]]]) -> None:
    definitions = "select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = %s::regclass"
    checks = dict(query(definitions, "raw.transactions"))
    assert {code.lower() for code in event_rules(CONTRACT)} <= set(checks)
    query("create temporary table expected (like raw.transactions)")
    for code, sql in event_rules(CONTRACT).items():
        said = sql.replace("arrived_at", "known_at")
        query(f"alter table expected add constraint {code.lower()} check ({said})")
    wanted = {name: text for name, text in query(definitions, "expected") if text.startswith("CHECK")}
    assert len(wanted) == len(event_rules(CONTRACT))
    assert {name: checks[name] for name in wanted} == wanted
