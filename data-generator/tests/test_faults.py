"""Each fault breaks the rule it is named for and no other: judged by the contract's SQL and by plain Python."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any

import duckdb
import pytest

from contracts.entities import load_entities, load_entity
from contracts.event_json import to_json
from contracts.faults import HEAVY, fault_kinds, sound_event
from contracts.model import PAYMENTS, Entity
from data_generator.breaker import FOLLOW_UPS, Breaker
from data_generator.events import PAYMENT, RESEND, Event
from data_generator.feed import Feed
from data_generator.plan import Plan

CONTRACT = load_entity(PAYMENTS)
VARIANTS = range(8)
SOUND = sound_event(CONTRACT)


class Number(str):
    """A JSON number as it was written."""


def pairs_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise LookupError
    return dict(pairs)


def whole_value(value: bytes | None) -> str | dict[str, Any]:
    """Return the one reason for which a value has no fields to look at, or the fields."""
    if value is None:
        return "NULL_VALUE"
    if len(value) > CONTRACT.platform.max_value_bytes:
        return "VALUE_TOO_LARGE"
    try:
        text = value.decode("utf-8")
        if not text.strip():
            return "EMPTY_VALUE"
        found = json.loads(text, parse_int=Number, parse_float=Number, object_pairs_hook=pairs_once)
    except UnicodeDecodeError:
        return "INVALID_UTF8"
    except json.JSONDecodeError:
        return "MALFORMED_JSON"
    except LookupError:
        return "DUPLICATE_KEY"
    return found if isinstance(found, dict) else "NOT_AN_OBJECT"


def number_reasons(entity: Entity, code: str, text: str, digits: int) -> set[str]:
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) is None:
        return {f"{code}_INEXACT"}
    whole, _, fraction = text.lstrip("-").partition(".")
    codes = {
        f"{code}_OVERFLOW": len(whole) > entity.platform.amount_integer_digits,
        f"{code}_SCALE": len(fraction) > digits,
    }
    return {code for code, broken in codes.items() if broken}


def is_time(text: str) -> bool:
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", text) is None:
        return False
    try:
        datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return True


def malformed_reasons(entity: Entity, event: dict[str, Any]) -> set[str]:
    reasons = set()
    for field in entity.fields:
        value, code = event.get(field.name), field.name.upper()
        number, kind = isinstance(value, Number), field.type
        if value is None:
            reasons |= {f"{code}_MISSING"} if field.structural else set()
        elif not (
            number if kind == "decimal" else isinstance(value, bool if kind == "boolean" else str) and not number
        ):
            reasons.add(f"{code}_TYPE")
        elif kind == "decimal":
            known = entity.currencies.get(str(event.get("currency")), entity.platform.unknown_currency_digits)
            reasons |= number_reasons(entity, code, value, known if code == "AMOUNT" else 4)
        elif kind == "timestamp" and not is_time(value):
            reasons.add("TIMESTAMP_FORMAT")
    if any("\0" in value for value in event.values() if isinstance(value, str)):
        reasons.add("NUL_CHARACTER")
    return reasons


@cache
def database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


@pytest.fixture(scope="module", autouse=True)
def _closed_database() -> Iterator[None]:
    yield
    database().close()


def invalid_reasons(entity: Entity, event: dict[str, Any]) -> set[str]:
    types = {"decimal": "decimal(20,4)", "timestamp": "timestamptz", "boolean": "boolean", "string": "varchar"}
    columns = [f"cast(? as {types[field.type]}) as {field.stored_as}" for field in entity.fields]
    rules = [rule for rule in entity.rules if rule.sql]
    verdicts = ", ".join(f"coalesce({rule.sql}, false)" for rule in rules)
    query = f"select {verdicts} from (select {', '.join(columns)}, timestamptz '2026-11-21 00:00:00+00' as arrived_at)"
    passed = database().execute(query, [event.get(field.name) for field in entity.fields]).fetchone()
    assert passed is not None
    return {rule.code for rule, good in zip(rules, passed, strict=True) if not good}


def reasons(value: bytes | None, entity: Entity = CONTRACT) -> set[str]:
    event = whole_value(value)
    if isinstance(event, str):
        return {event}
    return malformed_reasons(entity, event) or invalid_reasons(entity, event)


def value_of(broken: dict[str, Any] | bytes | None) -> bytes | None:
    return to_json(broken) if isinstance(broken, dict) else broken


@pytest.mark.parametrize("entity", load_entities(), ids=lambda entity: entity.name)
def test_the_sound_event_breaks_nothing_and_every_rule_has_a_fault(entity: Entity) -> None:
    event_rules = {rule.code for rule in entity.rules if rule.scope == "event"}
    others = {rule.code for rule in entity.rules} - event_rules
    assert len(event_rules) > 30
    assert set(fault_kinds(entity)) == event_rules
    assert set(FOLLOW_UPS) - {"EXACT_RESEND"} == others
    assert reasons(to_json(sound_event(entity)), entity) == set()


@pytest.mark.parametrize(
    ("entity", "kind"),
    [(entity, kind) for entity in load_entities() for kind in fault_kinds(entity)],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_a_fault_breaks_its_own_rule_and_no_other(entity: Entity, kind: str) -> None:
    for variant in VARIANTS:
        value = value_of(fault_kinds(entity)[kind](sound_event(entity), variant))
        assert reasons(value, entity) == {kind}, (variant, value[:400] if value else value)


@pytest.mark.parametrize("amount", ["-25.00", "0.00", "-0.01"])
def test_an_amount_that_was_never_positive_is_not_made_so_by_a_fault(amount: str) -> None:
    for variant in VARIANTS:
        fields = {**SOUND, "amount": Decimal(amount)}
        assert "AMOUNT_NOT_POSITIVE" in reasons(value_of(fault_kinds(CONTRACT)["AMOUNT_NOT_POSITIVE"](fields, variant)))


def test_a_feed_takes_all_kinds_in_turn_and_the_heavy_one_seldom(
    plan: Callable[..., Plan], feed: Callable[..., Feed]
) -> None:
    events = list(feed(plan(total=3_000, faults=Fraction(1, 5))))
    broken = Counter(event.fault for event in events if event.fault)
    kinds = set(fault_kinds(CONTRACT)) | set(FOLLOW_UPS)
    assert set(broken) == kinds
    often = [count for kind, count in broken.items() if kind not in HEAVY]
    assert max(often) - min(often) <= 1
    assert 450 < sum(broken.values()) < 750
    assert 0 < sum(broken[kind] for kind in HEAVY) < min(often) / 2


def test_events_of_a_feed_are_broken_as_their_kind_says_and_the_rest_are_sound(
    plan: Callable[..., Plan], feed: Callable[..., Feed]
) -> None:
    events = list(feed(plan(total=600, faults=Fraction(1, 4), start=1_790_000_000_000)))
    single = [event for event in events if event.part != RESEND]
    assert len(single) >= 600
    for event in single:
        assert reasons(event.value) == ({event.fault} if event.fault else set())


def pairs_of(events: list[Event], kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    found = [(before, after) for before, after in pairwise(events) if after.fault == kind]
    assert found
    assert all(before.part == PAYMENT and before.key == after.key for before, after in found)
    return [(json.loads(before.value or b""), json.loads(after.value or b"")) for before, after in found]


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_faults_that_need_two_events_follow_their_first_at_once(
    plan: Callable[..., Plan], feed: Callable[..., Feed]
) -> None:
    events = list(feed(plan(total=2_000, faults=Fraction(1, 2))))
    for before, after in pairs_of(events, "EXACT_RESEND"):
        assert before == after
    for before, after in pairs_of(events, "CONFLICTING_DUPLICATE"):
        assert changed(before, after) == {"amount"}
    for before, after in pairs_of(events, "CONTRADICTING_STATUS"):
        assert changed(before, after) == {"status", "failure_reason"}
        assert {before["status"], after["status"]} == {"SUCCESS", "FAILED"}
    mismatched = set()
    for before, after in pairs_of(events, "SETTLEMENT_MISMATCH"):
        assert before["status"] == "PENDING"
        assert after["status"] in ("SUCCESS", "FAILED")
        (field,) = changed(before, after) - {"status", "failure_reason"}
        mismatched.add(field)
    assert mismatched == {"amount", "customer_id", "timestamp"}


def test_the_same_seed_breaks_the_same_payments() -> None:
    one, other = (Breaker(CONTRACT, 0.3, 11) for _ in range(2))
    chosen = [one.choose() for _ in range(500)]
    assert chosen == [other.choose() for _ in range(500)]
    assert 100 < sum(kind is not None for kind in chosen) < 200
