"""The columns of silver's tables, in the order in which COPY fills them."""

from contracts.model import Contract

# What the loader knows of an event beside its fields. "offset" is a word of SQL and always stands in quotes.
DELIVERY = ("utc_offset_minutes", "run", "seq", "redrive_of", "status_at", "known_at", "content_hash", "identity_hash")
COORDINATES = ("topic_id", "partition", "offset")
DUPLICATE = (
    *("transaction_id", "status", "amount", "currency", "content_hash"),
    *("run", "seq", "redrive_of", "status_at", "known_at"),
)
DEAD_LETTER = (
    *(*COORDINATES, "reasons", "arrived_at", "value_bytes", "amount_hint", "currency_hint"),
    *("run", "seq", "redrive_of"),
)


def transaction_columns(contract: Contract) -> tuple[str, ...]:
    """Return the columns of raw.transactions and raw.rejected_transactions, without load_id and reasons."""
    return (*(field.stored_as for field in contract.fields), *DELIVERY, *COORDINATES)


def quoted(columns: tuple[str, ...], prefix: str = "") -> str:
    """Return columns as a list for SQL."""
    return ", ".join(f'{prefix}"{column}"' for column in columns)
