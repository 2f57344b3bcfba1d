"""What the strict parser says, value by value: it is what the judge is compared with, so it needs words of its own."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hostile_values import BASE, GOOD

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from contracts.verdict import Number, judge, read_instant

CONTRACT = load_entity(PAYMENTS)
LIMITS = CONTRACT.platform.json_limits
AT = datetime(2025, 11, 21, 10, 11, 12, tzinfo=UTC)
WITHOUT_END = BASE[:-1]


def reasons(value: bytes | None) -> set[str]:
    return set(judge(value, CONTRACT).reasons)


def with_amount(amount: bytes, currency: bytes = b'"INR"') -> bytes:
    return BASE.replace(b"12.34", amount).replace(b'"INR"', currency)


def with_city(text: bytes) -> bytes:
    return BASE.replace(b'"Pune"', text)


@pytest.mark.parametrize(
    ("text", "instant", "minutes"),
    [
        ("2025-11-21T10:11:12Z", AT, 0),
        ("2025-11-21T10:11:12+00:00", AT, 0),
        ("2025-11-21T10:11:12-00:00", AT, 0),
        ("2025-11-21T10:11:12+05:30", AT - timedelta(minutes=330), 330),
        ("2025-11-21T10:11:12-03:30", AT + timedelta(minutes=210), -210),
        ("2025-11-21T10:11:12-00:30", AT + timedelta(minutes=30), -30),
        ("2025-11-21T10:11:12+05:59", AT - timedelta(minutes=359), 359),
        ("2025-11-21T10:11:12+17:59", AT - timedelta(minutes=1079), 1079),
        ("2025-11-21T10:11:12+18:00", AT - timedelta(hours=18), 1080),
        ("2025-11-21T10:11:12-18:00", AT + timedelta(hours=18), -1080),
        ("2025-11-21T10:11:12.5Z", AT + timedelta(milliseconds=500), 0),
        ("2025-11-21T10:11:12.123456Z", AT + timedelta(microseconds=123456), 0),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC), 0),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC), 0),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC), 0),
    ],
)
def test_an_instant_with_its_zone(text: str, instant: datetime, minutes: int) -> None:
    assert read_instant(text) == (instant, minutes)
    verdict = judge(BASE.replace(b"2025-11-21T10:11:12+05:30", text.encode()), CONTRACT)
    assert (verdict.reasons, verdict.occurred_at, verdict.utc_offset_minutes) == (frozenset(), instant, minutes)


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "2025-11-21", "2025-11-21T10:11:12", "2025-11-21 10:11:12Z", "2025-11-21T10:11:12z",
        "2025-11-21T10:11Z", "2025-11-21T10:11:12.Z", "2025-11-21T10:11:12.1234567Z", "2025-11-21T10:11:12,5Z",
        "2025-11-21T10:11:12+0530", "2025-11-21T10:11:12+05", "2025-11-21T10:11:12+05:60", "2025-11-21T10:11:12+05:99",
        "2025-11-21T10:11:12+18:01", "2025-11-21T10:11:12-18:01", "2025-11-21T10:11:12+19:00",
        "2025-11-21T10:11:12+23:00", "2025-11-21T10:11:12+23:60", "2025-02-30T10:11:12Z", "2025-02-29T10:11:12Z",
        "2025-13-01T10:11:12Z", "2025-11-21T24:00:00Z", "2025-11-21T25:11:12Z", "2025-11-21T10:60:12Z",
        "2025-11-21T10:11:60Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
        "2025-11-21T10:11:12Z ", " 2025-11-21T10:11:12Z", "2025-11-21T10:11:12Z\n", "02025-11-21T10:11:12Z",
        "\uff12025-11-21T10:11:12Z", "2025-11-21T10:11:12+05:30Z",
    ],
)  # fmt: skip
def test_a_text_that_is_no_instant(text: str) -> None:
    assert read_instant(text) is None
    assert reasons(json.dumps({**GOOD, "timestamp": text}).encode()) == {"TIMESTAMP_FORMAT"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "NULL_VALUE"),
        (b"", "EMPTY_VALUE"),
        (b" \t\r\n", "EMPTY_VALUE"),
        (b"\x0b", "MALFORMED_JSON"),
        ("\u00a0".encode(), "MALFORMED_JSON"),
        (b"\xff", "INVALID_UTF8"),
        (b"\xed\xa0\x80", "INVALID_UTF8"),
        (b"{", "MALFORMED_JSON"),
        (BASE + b"x", "MALFORMED_JSON"),
        (b"[1]", "NOT_AN_OBJECT"),
        (b"null", "NOT_AN_OBJECT"),
        (b'"s"', "NOT_AN_OBJECT"),
        (rb'["\ud83d"]', "NOT_AN_OBJECT"),
        (b'[{"a":1,"a":2}]', "NOT_AN_OBJECT"),
        (b'{"a":1,"a":2}', "DUPLICATE_KEY"),
        (b'{"a":1,"a":2} x', "MALFORMED_JSON"),
        (b'{"a":1,"a":NaN}', "MALFORMED_JSON"),
        (rb'{"a":1,"a":"\ud83d"}', "MALFORMED_JSON"),
        (WITHOUT_END + b',"n":{"b":1,"a":1,"a":2}}', "DUPLICATE_KEY"),
        (WITHOUT_END + rb',"ci\u0074y":1}', "DUPLICATE_KEY"),
        *((WITHOUT_END + b',"n":' + word + b"}", "MALFORMED_JSON") for word in (b"NaN", b"Infinity", b"01")),
        *((with_city(text), "MALFORMED_JSON") for text in (rb'"\ud83d"', rb'"\ude00"', rb'"a\ud83d\u0041"', b'"\x01"')),
        (WITHOUT_END + rb',"\ud83d":1}', "MALFORMED_JSON"),
        # Beyond half of the longest key its characters are counted, also where it is no text at all.
        (WITHOUT_END + rb',"\ud83d' + b"k" * (LIMITS.key_characters // 2 + 1) + b'":1}', "MALFORMED_JSON"),
        (WITHOUT_END + b',"\x01' + b"k" * (LIMITS.key_characters // 2 + 1) + b'":1}', "MALFORMED_JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_whole_value_is_its_only_reason(value: bytes | None, said: str) -> None:
    verdict = judge(value, CONTRACT)
    assert verdict.reasons == {said}
    assert (verdict.event, verdict.amount, verdict.occurred_at) == (None, None, None)


def test_a_value_may_be_as_long_as_the_contract_says() -> None:
    assert reasons(BASE + b" " * (CONTRACT.platform.max_value_bytes - len(BASE))) == set()
    assert reasons(BASE + b" " * (CONTRACT.platform.max_value_bytes - len(BASE) + 1)) == {"VALUE_TOO_LARGE"}


def test_a_sound_value_is_read_as_it_was_written() -> None:
    extra = rb', "n": 1, "m": {"n": [1.50]}, "text": "\ud83d\ude00 \\ud83d"}'
    verdict = judge(WITHOUT_END + extra, CONTRACT)
    assert verdict.reasons == frozenset()
    assert verdict.event is not None
    assert {name: verdict.event[name] for name in GOOD} == {**GOOD, "amount": Number("12.34")}
    assert verdict.event["m"] == {"n": [Number("1.50")]}
    assert verdict.event["text"] == "\U0001f600 \\ud83d"
    assert (verdict.amount, verdict.utc_offset_minutes, verdict.unknown_fields) == (Decimal("12.34"), 330, 3)
    without = {name: value for name, value in GOOD.items() if name not in ("city", "failure_reason")}
    assert judge(json.dumps(without).encode(), CONTRACT).unknown_fields == 0
    assert judge(BASE, CONTRACT).unknown_fields == 0


@pytest.mark.parametrize("field", CONTRACT.fields, ids=lambda field: field.name)
def test_a_field_is_null_absent_or_of_another_kind(field: object) -> None:
    name, kind, structural = field.name, field.type, field.structural  # type: ignore[attr-defined]
    missing = {f"{name.upper()}_MISSING"} if structural else set()
    for event in ({**GOOD, name: None}, {key: value for key, value in GOOD.items() if key != name}):
        assert reasons(json.dumps(event).encode()) == missing
    wrong = {"decimal": ({}, [], "5", True), "boolean": ({}, [], "true", 0, 1)}.get(kind, ({}, [], 5, True))
    for other in wrong:
        assert reasons(json.dumps({**GOOD, name: other}).encode()) == {f"{name.upper()}_TYPE"}
    if kind in ("string", "timestamp"):
        nul = {"NUL_CHARACTER"} | ({"TIMESTAMP_FORMAT"} if kind == "timestamp" else set())
        assert reasons(json.dumps({**GOOD, name: "a\0b"}).encode()) == nul


def test_all_reasons_of_an_event_are_said() -> None:
    value = b'{"status": 1, "amount": 1234567890123456789.12345, "city": "\\u0000", "is_fraud": "no", "timestamp": "x"}'
    assert reasons(value) == {
        "TRANSACTION_ID_MISSING", "STATUS_TYPE", "AMOUNT_OVERFLOW", "AMOUNT_SCALE", "NUL_CHARACTER", "IS_FRAUD_TYPE",
        "TIMESTAMP_FORMAT", "CURRENCY_MISSING",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        (b"12.34", b'"INR"', None),
        (b"12.345", b'"INR"', "AMOUNT_SCALE"),
        (b"12.340000", b'"INR"', None),
        (b"0.001", b'"INR"', "AMOUNT_SCALE"),
        (b"7.00", b'"JPY"', None),
        (b"7.10", b'"JPY"', "AMOUNT_SCALE"),
        (b"1.234", b'"KWD"', None),
        (b"1.2345", b'"KWD"', "AMOUNT_SCALE"),
        (b"1.2345", b'"XXX"', None),
        (b"1.23456", b'"XXX"', "AMOUNT_SCALE"),
        (b"-12.34", b'"INR"', None),
        (b"-12.345", b'"INR"', "AMOUNT_SCALE"),
        (b"-0", b'"INR"', None),
        (b"9999999999999999.99", b'"INR"', None),
        (b"-9999999999999999.99", b'"INR"', None),
        (b"10000000000000000", b'"INR"', "AMOUNT_OVERFLOW"),
        (b"9" * 38, b'"INR"', "AMOUNT_OVERFLOW"),
        (b"9" * 39, b'"INR"', "AMOUNT_INEXACT"),
        (b"-" + b"9" * 39, b'"INR"', "AMOUNT_INEXACT"),
        (b"0." + b"0" * 38, b'"INR"', None),
        (b"0." + b"0" * 39, b'"INR"', "AMOUNT_INEXACT"),
        (b"1." + b"0" * 37, b'"INR"', None),
        (b"1." + b"0" * 38, b'"INR"', "AMOUNT_INEXACT"),
        (b"1e2", b'"INR"', "AMOUNT_INEXACT"),
        (b"1E2", b'"INR"', "AMOUNT_INEXACT"),
        (b"true", b'"INR"', "AMOUNT_TYPE"),
    ],
)
def test_an_amount_is_exact_or_refused(amount: bytes, currency: bytes, said: str | None) -> None:
    verdict = judge(with_amount(amount, currency), CONTRACT)
    assert verdict.reasons == ({said} if said else set())
    assert verdict.amount == (None if said else Decimal(amount.decode()))


def test_without_a_currency_the_digits_are_those_of_an_unknown_one() -> None:
    assert reasons(with_amount(b"1.2345", b"5")) == {"CURRENCY_TYPE"}
    assert reasons(with_amount(b"1.23456", b"null")) == {"CURRENCY_MISSING", "AMOUNT_SCALE"}
    assert reasons(with_amount(b"1.2345", b'["INR"]')) == {"CURRENCY_TYPE"}
