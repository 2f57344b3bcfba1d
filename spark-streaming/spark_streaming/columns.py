"""The columns of an entity's two tables of the lake."""

import pyarrow as pa

from contracts.headers import HEADERS
from contracts.judge import ARROW_TYPES, UTC_TIME
from contracts.model import Entity

DAY = (("year", pa.int32()), ("month", pa.int32()), ("day", pa.int32()))
PARTITION_COLUMNS = tuple(name for name, _ in DAY)
DELIVERY = (
    ("raw_value", pa.binary()),
    ("message_key", pa.binary()),
    ("headers", HEADERS),
    ("run", pa.string()),
    ("seq", pa.int64()),
    ("status_at", UTC_TIME),
    ("contract_version", pa.string()),
    ("redrive_of", pa.string()),
    ("topic_id", pa.string()),
    ("topic", pa.string()),
    ("partition", pa.int32()),
    ("offset", pa.int64()),
    ("arrived_at", UTC_TIME),
    *DAY,
)


def bronze_schema(entity: Entity) -> pa.Schema:
    """Return the columns of the well-formed events, in order."""
    event = [(field.stored_as, ARROW_TYPES[field.type]) for field in entity.fields]
    return pa.schema([*event, ("utc_offset_minutes", pa.int32()), ("unknown_fields", pa.int32()), *DELIVERY])


def dead_letter_schema() -> pa.Schema:
    """Return the columns of the malformed events, in order."""
    return pa.schema([("reasons", pa.list_(pa.string())), *DELIVERY])
