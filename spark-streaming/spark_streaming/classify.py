"""Bytes in, verdict out: every event gets its typed columns and all the reasons for which it is malformed.

`from_json` alone rounds 12.345, takes the second of two equal keys, reads numbers as dates and texts, and stops at the
end of the first document. So the value is wrapped into an array with a sentinel behind it, which no
value can fake; amount and is_fraud are read as VARIANT, which keeps the exact number; and a strict parser looks for
equal keys. Everything here is a pure function of the message.

Nearly every event is written as the gateway writes it: every field of the contract, each of its type, in order, without
escapes. One regular expression knows such a usual event, and what it says need not be asked again: then only the
instant and the amount's decimals are left to judge. What costs much stands behind `usual`, for all other events; a
usual one would get the same verdict there.

The work is in two steps: `parse` reads the JSON, `judge` decides. No step uses lambdas (`filter`, `transform`): they
end code generation and cost four times as much.
"""

from pyspark.sql import DataFrame

from contracts.model import Contract
from spark_streaming import columns, headers, rules


def classify(messages: DataFrame, contract: Contract, sentinel: str) -> DataFrame:
    """Return every message with its typed columns and the array `reasons`; no reason: well-formed.

    Args:
        messages: what Spark's Kafka source gives: key, value, headers, topic, partition, offset, timestamp.
        contract: fields, limits and currencies.
        sentinel: hexadecimal digits that no message can know; they do not change any result.
    """
    return judge(parse(messages, contract, sentinel), contract)


def parse(messages: DataFrame, contract: Contract, sentinel: str) -> DataFrame:
    """Return every message with the texts of its fields and what is known of the whole value, one row a message."""
    end = f"e{sentinel}"
    names = [field.name for field in contract.fields]
    variants = {field.name for field in contract.fields if field.type in {"decimal", "boolean"}}
    types = [f"{name}: {'variant' if name in variants else 'string'}" for name in names]
    schema = f"array<struct<{', '.join(types)}, {end}: boolean>>"
    wrapped = f"""concat('[', raw, ',{{"{end}":true}}]')"""
    delivery = ["value", "key", "headers", "topic", "`partition`", "`offset`", "`timestamp`"]
    read = (
        messages.selectExpr(
            *delivery,
            f"CASE WHEN octet_length(value) <= {contract.max_value_bytes} THEN cast(value AS string) END AS raw",
        )
        .selectExpr("*", f"coalesce(is_valid_utf8(raw) AND raw RLIKE '{rules.usual_shape(contract)}', false) AS usual")
        .selectExpr("*", f"from_json({wrapped}, '{schema}', {rules.read_options(contract)}) AS parts")
        .selectExpr("*", "get(parts, 0) AS event")
    )
    return read.selectExpr(
        "value AS raw_value",
        "key AS message_key",
        "headers",
        "topic",
        "`partition`",
        "`offset`",
        "`timestamp` AS arrived_at",
        "usual",
        *(f"event.{name} AS {name}" for name in names if name not in variants),
        "try_variant_get(event.amount, '$', 'string') AS amount_text",
        "CASE WHEN NOT usual THEN schema_of_variant(event.amount) END AS amount_type",
        "try_variant_get(event.is_fraud, '$', 'boolean') AS is_fraud",
        "CASE WHEN NOT usual THEN schema_of_variant(event.is_fraud) END AS is_fraud_type",
        f"CASE WHEN NOT usual THEN {rules.whole_value(end, wrapped, contract)} END AS whole",
        f"CASE WHEN NOT usual THEN {rules.NON_TEXT_TOKENS} END AS non_text_tokens",
        f"CASE WHEN NOT usual THEN {rules.KEYS} END AS key_count",
        f"CASE WHEN NOT usual THEN {rules.NUL_ESCAPES} END AS has_nul_escape",
    )


def judge(parsed: DataFrame, contract: Contract) -> DataFrame:
    """Return the parsed messages with every column of the lake and the array `reasons`."""
    digits = " ".join(f"WHEN '{code}' THEN {minor}" for code, minor in contract.currencies.items())
    marked = parsed.selectExpr(
        "*",
        f"{rules.SUSPECT} AS suspect",
        f"CASE currency {digits} ELSE {contract.unknown_currency_digits} END AS minor_digits",
        "try_cast(timestamp AS timestamp) AS instant",
    ).selectExpr("*", f"{rules.TYPED_FIELDS} AS typed")
    judged = marked.selectExpr(
        "*",
        f"CASE WHEN usual THEN {_codes(rules.usual_rules(contract))} ELSE {_codes(rules.field_rules(contract))} END"
        " AS codes",
    )
    return judged.selectExpr(
        "CASE WHEN whole IS NOT NULL THEN array(whole) WHEN codes = '' THEN cast(array() AS array<string>) "
        "ELSE split(codes, ',') END AS reasons",
        *(columns.event_column(field) for field in contract.fields),
        f"{rules.UTC_OFFSET} AS utc_offset_minutes",
        f"CASE WHEN usual THEN 0 ELSE {rules.unknown_fields(contract)} END AS unknown_fields",
        "raw_value",
        "message_key",
        "headers",
        *headers.header_columns(),
        "topic",
        "`partition`",
        "`offset`",
        "arrived_at",
        "year(arrived_at) AS year",
        "month(arrived_at) AS month",
        "day(arrived_at) AS day",
    )


def _codes(found: list[str]) -> str:
    return f"concat_ws(',', {', '.join(found)})"
