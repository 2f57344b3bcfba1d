"""What is sent: one event a status, and how its bytes are made."""

from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson

PAYMENT: Final = "payment"
SETTLEMENT: Final = "settlement"
RESEND: Final = "resend"


class Event(NamedTuple):
    """One Kafka message but for its feed id and number.

    Attributes:
        part: payment (its first status), settlement, or resend (a further copy of either, sent on purpose).
        status_at: event time of the status, ISO 8601 with a zone.
        currency: of the amount; None where the event is broken so that no amount can be counted.
        units: the amount in the currency's minor units.
        fault: what was broken on purpose, None for a sound event.
    """

    part: str
    key: bytes
    value: bytes | None
    status_at: str
    currency: str | None
    units: int
    fault: str | None


def _exact(value: object) -> object:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(type(value).__name__)


def to_json(fields: dict[str, Any]) -> bytes:
    """Return an event's fields as JSON bytes; Decimals are written out exactly, floats never occur."""
    return orjson.dumps(fields, default=_exact)
