"""The columns of the lake's two tables."""

from contracts.model import Contract, Field

DELIVERY = (
    ("raw_value", "BINARY"),
    ("message_key", "BINARY"),
    ("headers", "ARRAY<STRUCT<key: STRING, value: BINARY>>"),
    ("run", "STRING"),
    ("seq", "BIGINT"),
    ("status_at", "TIMESTAMP"),
    ("contract_version", "STRING"),
    ("redrive_of", "STRING"),
    ("topic_id", "STRING"),
    ("topic", "STRING"),
    ("partition", "INT"),
    ("offset", "BIGINT"),
    ("arrived_at", "TIMESTAMP"),
    ("year", "INT"),
    ("month", "INT"),
    ("day", "INT"),
)
PARTITION_COLUMNS = ("year", "month", "day")


def bronze_columns(contract: Contract) -> dict[str, str]:
    """Return name and type of each column of the well-formed events, in order."""
    event = {field.stored_as: field.spark_type for field in contract.fields}
    return {**event, "utc_offset_minutes": "INT", "unknown_fields": "INT", **dict(DELIVERY)}


def dead_letter_columns() -> dict[str, str]:
    """Return name and type of each column of the malformed events, in order."""
    return {"reasons": "ARRAY<STRING>", **dict(DELIVERY)}


def event_column(field: Field) -> str:
    """Return the expression that types a field. It is right where the event has no reason against it."""
    if field.type == "decimal":
        return f"try_cast({field.name}_text AS {field.spark_type}) AS {field.stored_as}"
    if field.type == "timestamp":
        return f"instant AS {field.stored_as}"
    return field.name if field.stored_as == field.name else f"{field.name} AS {field.stored_as}"
