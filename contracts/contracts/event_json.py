"""How an event's bytes are made."""

from decimal import Decimal
from typing import Any

import orjson


def _exact(value: object) -> object:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(type(value).__name__)


def to_json(fields: dict[str, Any]) -> bytes:
    """Return an event's fields as JSON bytes; Decimals are written out exactly, floats never occur."""
    return orjson.dumps(fields, default=_exact)
