"""Every verdict of Spark's expressions is that of a strict parser in plain Python."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hostile_values import BASE, DOCUMENTS, GOOD, every_field_with_every_token, random_values
from pyspark.sql import DataFrame, Row, SparkSession

from contracts import verdict
from contracts.model import load_contract
from spark_streaming.classify import classify, parse

pytestmark = pytest.mark.services

MESSAGE = (
    "key binary, value binary, headers array<struct<key string, value binary>>, topic string, `partition` int, "
    "`offset` bigint, `timestamp` timestamp"
)
CONTRACT = load_contract()
TEXTS = [field for field in CONTRACT.fields if field.type == "string"]
ARRIVED = datetime(2025, 11, 21, 23, 59, tzinfo=UTC)


def read(spark: SparkSession, values: Sequence[bytes | None], headers: Any = None) -> DataFrame:
    rows = [(b"k", value, headers, "transactions", 0, offset, ARRIVED) for offset, value in enumerate(values)]
    return spark.createDataFrame(rows, MESSAGE)


def judged(spark: SparkSession, values: Sequence[bytes | None], headers: Any = None) -> list[Row]:
    result = classify(read(spark, values, headers), CONTRACT, "ab" * 16)
    # Python's datetime cannot hold every instant of Spark's with a zone: compared as text.
    instant = "date_format({0}, \"yyyy-MM-dd'T'HH:mm:ss.SSSSSS\") AS {0}"
    return (
        result.drop("occurred_at", "status_at")
        .join(result.selectExpr("`offset`", *(instant.format(c) for c in ("occurred_at", "status_at"))), "offset")
        .orderBy("offset")
        .collect()
    )


def difference(row: Row, value: bytes | None) -> str | None:
    wanted = verdict.judge(value, CONTRACT)
    if sorted(row["reasons"]) != sorted(wanted.reasons):
        return f"{row['reasons']} instead of {sorted(wanted.reasons)}"
    if wanted.reasons or wanted.event is None or wanted.occurred_at is None:
        return None
    got = {field.name: row[field.stored_as] for field in TEXTS}
    got |= {name: row[name] for name in ("amount", "utc_offset_minutes", "unknown_fields", "occurred_at", "is_fraud")}
    want = {field.name: wanted.event.get(field.name) for field in TEXTS}
    want |= {
        "amount": wanted.amount,
        "utc_offset_minutes": wanted.utc_offset_minutes,
        "unknown_fields": wanted.unknown_fields,
        "occurred_at": wanted.occurred_at.replace(tzinfo=None).isoformat(timespec="microseconds"),
        "is_fraud": wanted.event.get("is_fraud"),
    }
    return None if got == want else f"{got} instead of {want}"


def check_all(spark: SparkSession, values: Sequence[bytes | None]) -> set[str]:
    rows = judged(spark, values)
    assert len(rows) == len(values) > 0
    wrong = [(value, text) for row, value in zip(rows, values, strict=True) if (text := difference(row, value))]
    assert not wrong, f"{len(wrong)} of {len(values)}, first: {wrong[0]}"
    return {reason for row in rows for reason in row["reasons"]}


def test_every_token_in_every_field_and_every_hostile_document_gets_the_strict_parsers_verdict(spark: Any) -> None:
    given = check_all(spark, [BASE, *every_field_with_every_token(), *DOCUMENTS])
    assert given == {rule.code for rule in CONTRACT.rules if rule.kind == "malformed"}


def test_thousands_of_random_values_get_the_strict_parsers_verdict(spark: Any) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    check_all(spark, list(random_values(random.Random(seed), 4_000)))


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
def test_bad_input_gets_its_reasons(spark: Any, value: bytes | None, reasons: set[str]) -> None:
    assert set(judged(spark, [value])[0]["reasons"]) == reasons


def test_an_event_as_the_gateway_writes_it_is_a_usual_one(spark: Any) -> None:
    example = {field.name: field.example for field in CONTRACT.fields}
    usual = [json.dumps(example, separators=(",", ":")).encode(), BASE, BASE.replace(b"Pune", "Puné".encode())]
    unusual = [
        BASE.replace(b"Pune", b"Pu\\u006ee"),
        BASE[:-1] + b',"extra":1}',
        BASE.replace(b"12.34", b"1e2"),
        BASE[:9],
    ]
    rows = parse(read(spark, [*usual, *unusual, None]), CONTRACT, "ab" * 16).orderBy("offset").select("usual").collect()
    assert [row["usual"] for row in rows] == [True] * len(usual) + [False] * (len(unusual) + 1)


def test_headers_are_read_and_those_that_cannot_be_read_are_null(spark: Any) -> None:
    good = [("run", b"R1"), ("seq", b"17"), ("status_at", b"2025-11-21T10:11:12+05:30"), ("redrive-of", b"3:12")]
    row = judged(spark, [BASE], good)[0]
    assert (row["run"], row["seq"], row["redrive_of"]) == ("R1", 17, "3:12")
    assert row["status_at"] == "2025-11-21T04:41:12.000000"
    bad = [("run", b"\xff"), ("seq", b"x"), ("status_at", b"yesterday"), ("contract", b"a\x00"), ("run", b"late")]
    row = judged(spark, [BASE], bad)[0]
    assert [row[name] for name in ("run", "seq", "status_at", "contract_version", "redrive_of")] == [None] * 5
    assert list(row["reasons"]) == []


LEVELS, DIGITS, CHARACTERS = (
    CONTRACT.json_limits.nesting_levels,
    CONTRACT.json_limits.number_digits,
    CONTRACT.json_limits.key_characters,
)
AT_A_LIMIT = {
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
def test_the_contracts_limits_are_sparks_too(spark: Any, limit: str) -> None:
    values = []
    for more in (0, 1):
        key, value = AT_A_LIMIT[limit](more)
        values.append(BASE[:-1] + b', "' + key + b'": ' + value + b"}")
    assert check_all(spark, values) == {"MALFORMED_JSON"}
    assert [list(row["reasons"]) for row in judged(spark, values)] == [[], ["MALFORMED_JSON"]]


def test_brackets_and_letters_within_a_text_are_beyond_no_limit(spark: Any) -> None:
    texts = (b"[" * 5_000, b"9" * 5_000, b"k" * 60_000, rb"\"[" * 5_000)
    assert check_all(spark, [BASE[:-1] + b', "n": "' + text + b'"}' for text in texts]) == set()


def test_a_deep_value_that_is_no_object_is_malformed(spark: Any) -> None:
    deep = [b"[" * levels + b"]" * levels for levels in (LEVELS, LEVELS + 1, 3_000)]
    assert check_all(spark, deep) == {"NOT_AN_OBJECT", "MALFORMED_JSON"}
