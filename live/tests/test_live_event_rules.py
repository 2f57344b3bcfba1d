"""The live view judges and hashes an event as silver does, whose rules are SQL."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from live_events import ARRIVED, JUDGE, TOPIC, fields

from contracts.model import load_contract
from contracts.verdict import judge
from live.event_rules import python_rules
from live.events import Kind, Place, header_text
from warehouse.rules import event_rules, identity_sql, reasons_sql

CONTRACT = load_contract()
BLANK = "\u00a0\u200b\u2003 \t"
STRANGE = st.sampled_from([None, "", " ", BLANK, "\u00e9" * 320, "x" * 64, "x" * 65, "x" * 101, "x" * 201, "a\u0301"])
TIMES = ("2026-11-21T12:00:00Z", "2026-11-21T12:00:00.000001Z", "1999-12-31T23:59:59.999999Z", "2000-01-01T00:00:00Z",
         "2026-11-20T11:00:00.050000+05:30", "2026-11-20T11:00:00.123456-03:30")  # fmt: skip
AMOUNTS = (0, -1, -0.0, 0.01, 12.3, 107.25, 9999999999999)


def events() -> st.SearchStrategy[dict[str, Any]]:
    def changed(name: str) -> st.SearchStrategy[Any]:
        field = CONTRACT.field(name)
        if name == "amount":
            return st.sampled_from(AMOUNTS)
        if name == "timestamp":
            return st.sampled_from(TIMES)
        if name == "is_fraud":
            return st.sampled_from([True, False, None])
        if field.enum:
            return st.sampled_from([*field.enum, "success", "XXX", *([] if field.structural else [None])])
        return STRANGE.filter(lambda value: value is not None) if field.structural else STRANGE

    names = [field.name for field in CONTRACT.fields]
    some = st.sets(st.sampled_from(names), max_size=5)
    return some.flatmap(lambda picked: st.fixed_dictionaries({name: changed(name) for name in sorted(picked)})).map(
        lambda found: fields() | found
    )


def silver(connection: duckdb.DuckDBPyConnection, event: dict[str, Any]) -> tuple[str, str]:
    verdict = judge(json.dumps(event).encode(), CONTRACT)
    values = {field.stored_as: event.get(field.name) for field in CONTRACT.fields}
    values |= {"amount": verdict.amount, "occurred_at": verdict.occurred_at}
    values |= {"utc_offset_minutes": verdict.utc_offset_minutes, "arrived_at": ARRIVED}
    types = {field.stored_as: field.postgres_type.replace("numeric", "decimal") for field in CONTRACT.fields}
    types |= {"utc_offset_minutes": "smallint", "arrived_at": "timestamptz"}
    columns = ", ".join(f"cast(? as {types[name]}) as {name}" for name in values)
    query = f"select {reasons_sql(CONTRACT)}, md5({identity_sql(CONTRACT)}) from (select {columns})"
    found: tuple[str, str] = connection.execute(query, list(values.values())).fetchall()[0]
    return found


@pytest.fixture(scope="module")
def duck() -> Any:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        yield connection


def test_every_rule_of_silver_is_written_here() -> None:
    assert set(python_rules(CONTRACT)) == set(event_rules(CONTRACT))
    assert len(event_rules(CONTRACT)) > 15


@settings(max_examples=100, deadline=None)
@given(event=events())
def test_an_event_breaks_the_rules_that_it_breaks_in_silver_and_has_its_hash(duck: Any, event: dict[str, Any]) -> None:
    value = json.dumps(event).encode()
    assume(not judge(value, CONTRACT).reasons)  # yen have no minor digits
    reasons, identity = silver(duck, event)
    assert sorted(JUDGE.broken_rules(value, ARRIVED)) == sorted(filter(None, reasons.split(",")))
    judged = JUDGE.event(Place(TOPIC, 0, 0), ARRIVED, value, ())
    assert (judged.kind is Kind.SOUND) == (reasons == "")
    if reasons == "":
        assert judged.identity_hash is not None
        assert judged.identity_hash.hex == identity


def test_a_malformed_value_is_a_dead_letter_and_a_tombstone_too() -> None:
    values = (
        None,
        b"",
        b"{}",
        b"[1]",
        json.dumps(fields(amount="12")).encode(),
        json.dumps(fields(amount=1e30)).encode(),
    )
    assert {JUDGE.event(Place(TOPIC, 0, 0), ARRIVED, value, ()).kind for value in values} == {Kind.DEAD}


def test_a_status_is_dated_by_its_header_and_else_by_its_arrival() -> None:
    value = json.dumps(fields()).encode()

    def status_at(*headers: tuple[str, bytes]) -> Any:
        return JUDGE.event(Place(TOPIC, 0, 0), ARRIVED, value, headers).status_at

    stated = (ARRIVED - timedelta(minutes=5)).isoformat().encode()
    assert status_at(("status_at", stated)) == ARRIVED - timedelta(minutes=5)
    assert status_at() == status_at(("status_at", b"yesterday")) == status_at(("status_at", b"\xff")) == ARRIVED
    impossible = (b"2099-01-01T00:00:00Z", b"2026-11-20T10:59:59.999999Z", b"2026-11-21T12:00:00.000001Z")
    assert {status_at(("status_at", claim)) for claim in impossible} == {ARRIVED}
    assert header_text([("a", b"1"), ("a", b"2")], "a") == "1"
    assert header_text([("a", b"x" * 201)], "a") is None


def test_amounts_are_exact() -> None:
    value = json.dumps(fields()).replace("107.25", "9999999999999999.99").encode()
    assert JUDGE.event(Place(TOPIC, 0, 0), ARRIVED, value, ()).amount == Decimal("9999999999999999.99")
