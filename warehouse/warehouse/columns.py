"""The columns of silver's tables, in the order in which COPY fills them."""

from contracts.model import Entity

# What the loader knows of an event beside its fields. "offset" is a word of SQL and always has quotes.
DELIVERY = ("utc_offset_minutes", "run", "seq", "redrive_of", "status_at", "known_at", "content_hash", "identity_hash")
COORDINATES = ("topic_id", "partition", "offset")
DEAD_LETTER = (
    *(*COORDINATES, "reasons", "arrived_at", "value_bytes", "amount_hint", "currency_hint"),
    *("run", "seq", "redrive_of"),
)


def event_columns(entity: Entity) -> tuple[str, ...]:
    """Return the columns of an entity's valid and rejected events, without load_id and reasons."""
    return (*(field.stored_as for field in entity.fields), *DELIVERY, *COORDINATES)


def duplicate_columns(entity: Entity) -> tuple[str, ...]:
    """Return the columns of an entity's duplicates, without load_id."""
    of_event = (entity.key, "status", "amount", "currency", "content_hash")
    return (*of_event, "run", "seq", "redrive_of", "status_at", "known_at", *COORDINATES)


def book_name(table: str) -> str:
    """Return a table's name without its schema, as the books of dead letters and conflicts say it."""
    return table.removeprefix("raw.")


def quoted(columns: tuple[str, ...], prefix: str = "") -> str:
    """Return columns as a list for SQL."""
    return ", ".join(f'{prefix}"{column}"' for column in columns)
