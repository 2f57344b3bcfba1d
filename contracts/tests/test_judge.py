"""What the judge says of a batch is what the strict parser says of each of its values, whichever path they take."""

import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hostile_values import BASE, DOCUMENTS, GOOD, every_field_with_every_token, mutations, random_values

from contracts import verdict
from contracts.entities import load_entity
from contracts.headers import HEADERS, header_columns
from contracts.judge import FREQUENT, SAMPLE, Judge
from contracts.model import PAYMENTS

CONTRACT = load_entity(PAYMENTS)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def judged(values: Sequence[bytes | None], judge: Judge | None = None) -> list[dict[str, Any]]:
    columns = (judge or Judge(CONTRACT)).judge(pa.array(values, pa.binary())).columns
    micros = columns.column("occurred_at").cast(pa.int64()).to_pylist()
    rows = columns.drop_columns(["occurred_at"]).to_pylist()
    return [row | {"occurred_at": at} for row, at in zip(rows, micros, strict=True)]


def usual(values: Sequence[bytes | None]) -> int:
    return Judge(CONTRACT).judge(pa.array(values, pa.binary())).usual


def wanted(value: bytes | None) -> dict[str, Any]:
    said = verdict.judge(value, CONTRACT)
    row = {field.stored_as: said.stated(field) for field in CONTRACT.fields}
    at = said.occurred_at and (said.occurred_at - EPOCH) // timedelta(microseconds=1)
    return row | {
        "reasons": sorted(said.reasons),
        "amount": said.amount,
        "occurred_at": at,
        "utc_offset_minutes": said.utc_offset_minutes,
        "unknown_fields": said.unknown_fields,
    }


def check_all(values: Sequence[bytes | None], judge: Judge | None = None) -> set[str]:
    rows = judged(values, judge)
    assert len(rows) == len(values) > 0
    wrong = [(v, row, want) for v, row in zip(values, rows, strict=True) if row != (want := wanted(v))]
    assert not wrong, f"{len(wrong)} of {len(values)}, first: {wrong[0]}"
    return {reason for row in rows for reason in row["reasons"]}


def test_every_token_in_every_field_and_every_hostile_document_gets_the_strict_parsers_verdict() -> None:
    given = check_all([BASE, *every_field_with_every_token(), *DOCUMENTS])
    assert given == {rule.code for rule in CONTRACT.rules if rule.kind == "malformed"}


def test_thousands_of_random_values_get_the_strict_parsers_verdict() -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    check_all(list(random_values(random.Random(seed), 4_000)))


def check_mutations(count: int) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    judge, dice, proven = Judge(CONTRACT), random.Random(seed), 0
    for _ in range(count // 4_000):
        values = list(mutations(dice, 4_000))
        check_all(values, judge)
        proven += judge.judge(pa.array(values, pa.binary())).usual
    assert proven > count / 10, "mutations that the pattern never lets pass would show nothing of it"


def test_mutated_usual_events_get_the_strict_parsers_verdict() -> None:
    check_mutations(20_000)


@pytest.mark.slow
def test_a_million_mutated_usual_events_get_the_strict_parsers_verdict() -> None:
    check_mutations(1_000_000)


@pytest.mark.parametrize(
    ("value", "reasons"),
    [
        (b"no json", {"MALFORMED_JSON"}),
        (BASE[:80], {"MALFORMED_JSON"}),
        (BASE + BASE, {"MALFORMED_JSON"}),
        (b"[" + BASE + b"]", {"NOT_AN_OBJECT"}),
        (b"", {"EMPTY_VALUE"}),
        (BASE.replace(b"Pune", b"\xff"), {"INVALID_UTF8"}),
        (None, {"NULL_VALUE"}),
        (BASE[:-1] + b', "city": "Delhi"}', {"DUPLICATE_KEY"}),
        (b'"' + b"x" * 2_097_152 + b'"', {"VALUE_TOO_LARGE"}),
        (b'{"status": 1, "amount": "12.34", "city": true, "currency": "USD"}',
         {"STATUS_TYPE", "AMOUNT_TYPE", "CITY_TYPE", "TRANSACTION_ID_MISSING", "TIMESTAMP_MISSING"}),
        (BASE.replace(b"12.34", b"12.345"), {"AMOUNT_SCALE"}),
        (BASE.replace(b"12.34", b"1e400"), {"AMOUNT_INEXACT"}),
        (BASE.replace(b"12.34", b"NaN"), {"MALFORMED_JSON"}),
        (BASE.replace(b"+05:30", b""), {"TIMESTAMP_FORMAT"}),
        (BASE.replace(b"+05:30", b"+05:60"), {"TIMESTAMP_FORMAT"}),
        (BASE.replace(b"false", b'"true"'), {"IS_FRAUD_TYPE"}),
        (BASE[:-1] + b', "new": {"a": 1}}', set()),
        (BASE.replace(b"12.34", b"-1"), set()),
        (BASE.replace(b'"c1"', b"null"), set()),
        (BASE.replace(b"INR", b"XXX"), set()),
        (BASE.replace(b"SUCCESS", b"LOST"), set()),
        *[(BASE.replace(f'"{name}"'.encode(), f'"not_{name}"'.encode()), {f"{name.upper()}_MISSING"})
          for name in GOOD if CONTRACT.field(name).structural],
    ],
)  # fmt: skip
def test_bad_input_gets_its_reasons(value: bytes | None, reasons: set[str]) -> None:
    assert set(judged([value])[0]["reasons"]) == reasons


COMPACT = json.dumps({field.name: field.example for field in CONTRACT.fields}, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "value",
    [
        COMPACT,
        BASE,
        json.dumps(GOOD, indent=2).encode(),
        b"\n " + BASE + b"\t\r\n",
        BASE.replace(b"Pune", "Puné ≤ 😀 \u2028".encode()),
        BASE.replace(b"Pune", rb"Pu\u006ee \/ \" \\ \b\f\n\r\t \uD83D\ude00 \ud7ff\ue000\uFFFF \u0001\u0010\u0100"),
        *(BASE.replace(b"12.34", amount) for amount in (b"0", b"-0.00", b"1.500", b"9999999999999999.99", b"-1")),
        BASE.replace(b"12.34", b"0.0001").replace(b"INR", b"XXX"),
        BASE.replace(b"12.34", b"9999999999999999.9999").replace(b"INR", b"XXX"),
        BASE.replace(b"12.34", b"1.234").replace(b"INR", b"KWD"),
        BASE.replace(b"12.34", b"7.00").replace(b"INR", b"JPY"),
        *(BASE.replace(b"2025-11-21", day)
          for day in (b"2024-02-29", b"2000-02-29", b"1904-02-29", b"2096-02-29", b"1900-02-28", b"2025-01-31")),
        *(BASE.replace(b"+05:30", zone) for zone in (b"Z", b"-00:00", b"+17:59", b".1Z", b".123456-12:45")),
        BASE.replace(b'"c1"', b"null"),
    ],
)  # fmt: skip
def test_a_usual_event_takes_the_quick_path(value: bytes) -> None:
    check_all([value])
    assert usual([value]) == 1


@pytest.mark.parametrize(
    "value",
    [
        *(BASE.replace(b"Pune", text)
          for text in (rb"\u0000", rb"\ud83d", rb"\ude00", rb"\ud83d\u0041", b"\x1f", b"\xff")),
        *(BASE.replace(b"12.34", amount)
          for amount in (b"1e2", b"007", b"1.", b"12345678901234567", b"1.23400", b"12.345")),
        BASE.replace(b"12.34", b"7.10").replace(b"INR", b"JPY"),
        *(BASE.replace(b"2025-11-21", day)
          for day in (b"2025-02-29", b"1900-02-29", b"2100-02-28", b"2025-04-31", b"1899-01-01")),
        *(BASE.replace(b"+05:30", zone) for zone in (b"+18:00", b"+05:60", b"", b"z", b".1234567Z")),
        BASE[:-1] + b',"extra":1}', BASE[:-1] + b',"city":"Delhi"}', BASE[:9], BASE + b"{}", None, b"",
        BASE.replace(b'"t1"', b"null"),
    ],
)  # fmt: skip
def test_what_is_not_usual_is_left_to_the_strict_parser(value: bytes | None) -> None:
    check_all([value])
    assert usual([value]) == 0


def other_spellings() -> dict[str, bytes]:
    ordered = dict(sorted(GOOD.items()))
    return {
        "another order of keys": json.dumps(ordered).encode(),
        "an optional key left out": json.dumps({k: v for k, v in GOOD.items() if k != "failure_reason"}).encode(),
        "a key that the contract does not know": json.dumps({"note": "a/b", **ordered, "n.o": 17.5}).encode(),
    }


@pytest.mark.parametrize("spelling", other_spellings())
def test_a_producers_own_spelling_is_learnt(spelling: str) -> None:
    value, count = other_spellings()[spelling], SAMPLE + 100
    values = [value.replace(b'"t1"', f'"t{i}"'.encode()) for i in range(count)]
    assert usual(values) == count - SAMPLE
    judge = Judge(CONTRACT)
    check_all(values, judge)
    check_all([BASE, *values, b"{", BASE], judge)
    assert judge.judge(pa.array(values, pa.binary())).usual == count, "learnt for the batches that follow"


def test_a_rare_spelling_is_not_learnt_and_many_are_bounded() -> None:
    dice, names = random.Random(1), list(GOOD)
    judge = Judge(CONTRACT)
    for _ in range(20):
        dice.shuffle(names)
        often = json.dumps({name: GOOD[name] for name in names}).encode()
        check_all([often] * (FREQUENT - 1) + [b"{"] * SAMPLE + [often], judge)
    assert judge.judge(pa.array([often], pa.binary())).usual == 0
    for _ in range(20):
        dice.shuffle(names)
        check_all([json.dumps({name: GOOD[name] for name in names}).encode()] * (SAMPLE + 1), judge)
    assert len(judge._shapes) <= 10


def test_a_batch_keeps_its_order_and_an_empty_one_is_none() -> None:
    values = [BASE.replace(b'"t1"', f'"t{i}"'.encode()) if i % 3 else b"x" for i in range(1_000)]
    assert [row["transaction_id"] for row in judged(values)] == [f"t{i}" if i % 3 else None for i in range(1_000)]
    assert judged([]) == []


def test_a_slice_of_a_batch_is_judged_as_itself() -> None:
    values = pa.array([BASE.replace(b'"t1"', f'"t{i}"'.encode()) for i in range(100)], pa.binary())
    columns = Judge(CONTRACT).judge(values.slice(40, 20)).columns
    assert columns.column("transaction_id").to_pylist() == [f"t{i}" for i in range(40, 60)]


LEVELS, DIGITS, CHARACTERS = (
    CONTRACT.platform.json_limits.nesting_levels,
    CONTRACT.platform.json_limits.number_digits,
    CONTRACT.platform.json_limits.key_characters,
)
AT_A_LIMIT: dict[str, Callable[[int], tuple[bytes, bytes]]] = {
    "levels of arrays": lambda more: (b"n", b"[" * (LEVELS - 1 + more) + b"]" * (LEVELS - 1 + more)),
    "levels of objects": lambda more: (b"n", b'{"a":' * (LEVELS - 1 + more) + b"1" + b"}" * (LEVELS - 1 + more)),
    "digits": lambda more: (b"n", b"9" * (DIGITS + more)),
    "digits behind a sign": lambda more: (b"n", b"-" + b"9" * (DIGITS + more)),
    "digits of a fraction": lambda more: (b"n", b"0." + b"9" * (DIGITS + more)),
    "digits of a fraction behind a sign": lambda more: (b"n", b"-0." + b"9" * (DIGITS + more)),
    "digits of a fraction behind a digit": lambda more: (b"n", b"7." + b"9" * (DIGITS - 1 + more)),
    "digits of an exponent": lambda more: (b"n", b"1e-" + b"0" * (DIGITS - 1 + more)),
    "digits of an exponent behind a zero": lambda more: (b"n", b"0e" + b"1" * (DIGITS + more)),
    "digits of all three": lambda more: (b"n", b"12." + b"9" * (DIGITS - 4 + more) + b"e+10"),
    "characters of a key": lambda more: (b"k" * (CHARACTERS + more), b"1"),
    "characters of an escaped key": lambda more: (rb"\u0041" * (CHARACTERS + more), b"1"),
    "characters of a key of emoji": lambda more: ("\U0001f600".encode() * (CHARACTERS // 2 + more), b"1"),
    "characters of a key with letters of two bytes": lambda more: ("\u00e9".encode() * (CHARACTERS + more), b"1"),
}


@pytest.mark.parametrize("limit", AT_A_LIMIT)
def test_the_contracts_limits_hold_to_the_last_one(limit: str) -> None:
    values = []
    for more in (0, 1):
        key, value = AT_A_LIMIT[limit](more)
        values.append(BASE[:-1] + b', "' + key + b'": ' + value + b"}")
    assert [row["reasons"] for row in judged(values)] == [[], ["MALFORMED_JSON"]]


def test_brackets_and_letters_within_a_text_are_beyond_no_limit() -> None:
    texts = (b"[" * 5_000, b"9" * 5_000, b"k" * 60_000, rb"\"[" * 5_000)
    assert check_all([BASE[:-1] + b', "n": "' + text + b'"}' for text in texts]) == set()


def test_a_deep_value_that_is_no_object_is_malformed() -> None:
    deep = [b"[" * levels + b"]" * levels for levels in (LEVELS, LEVELS + 1, 3_000)]
    assert check_all(deep) == {"NOT_AN_OBJECT", "MALFORMED_JSON"}


def headers_of(*pairs: tuple[str, bytes | None]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in pairs]


def test_headers_are_read_and_those_that_cannot_be_read_are_null() -> None:
    good = headers_of(
        ("run", b"R1"), ("seq", b"17"), ("status_at", b"2025-11-21T10:11:12+05:30"), ("redrive-of", b"3:12")
    )
    bad = headers_of(
        ("run", b"\xff"), ("seq", b"x"), ("status_at", b"yesterday"), ("contract", b"a\x00"), ("run", b"late")
    )
    edge = headers_of(
        ("seq", b"9" * 18), ("run", b"x" * 200), ("status_at", b"0001-01-01T00:00:00Z"), ("contract", b"")
    )
    beyond = headers_of(
        ("seq", b"9" * 19), ("run", b"x" * 201), ("status_at", b"2025-11-21T10:11:12+18:01"), ("redrive-of", None)
    )
    rows = pa.RecordBatch.from_pydict(header_columns(pa.array([good, bad, edge, beyond, [], None], HEADERS)))
    nothing = dict.fromkeys(("run", "seq", "status_at", "contract_version", "redrive_of"))
    at = datetime(2025, 11, 21, 4, 41, 12, tzinfo=UTC)
    first = datetime(1, 1, 1, tzinfo=UTC)
    assert rows.to_pylist() == [
        nothing | {"run": "R1", "seq": 17, "redrive_of": "3:12", "status_at": at},
        nothing,
        nothing | {"seq": 10**18 - 1, "run": "x" * 200, "status_at": first, "contract_version": ""},
        nothing,
        nothing,
        nothing,
    ]
