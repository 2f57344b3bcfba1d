"""The verdict on one value in plain Python: what the stream will say of it, asked before it is sent.

The stream has the same rules as Spark expressions; its tests hold the two against each other on hostile values.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from contracts.model import Contract

TIMESTAMP = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?(?:Z|([+-])(\d{2}):(\d{2}))", re.ASCII
)


@dataclass(frozen=True)
class Number:
    """A number as it was written."""

    text: str


@dataclass(frozen=True)
class Verdict:
    """Reasons for which a value is malformed, and what the typed columns must hold when there are none."""

    reasons: frozenset[str]
    event: dict[str, Any] | None = None
    amount: Decimal | None = None
    occurred_at: datetime | None = None
    utc_offset_minutes: int | None = None
    unknown_fields: int | None = None


class DuplicateKeyError(Exception):
    """Two equal keys in one object."""


def judge(value: bytes | None, contract: Contract) -> Verdict:
    """Return what is wrong with a value, by the contract."""
    try:
        event = _read(value, contract)
    except WholeValueError as whole:
        return Verdict(frozenset({str(whole)}))
    instants: dict[str, tuple[datetime, int]] = {}
    reasons = frozenset(_field_reasons(event, contract, instants))
    if reasons:
        return Verdict(reasons)
    occurred_at, offset = instants["timestamp"]
    unknown = len(event) - sum(field.name in event for field in contract.fields)
    return Verdict(reasons, event, Decimal(event["amount"].text), occurred_at, offset, unknown)


class WholeValueError(Exception):
    """The code of what is wrong with the whole value."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise DuplicateKeyError
    return dict(pairs)


def _no_constant(_: str) -> None:
    raise ValueError


_DECODER = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=_no_constant, object_pairs_hook=_pairs)


def _read(value: bytes | None, contract: Contract) -> dict[str, Any]:
    if value is None:
        raise WholeValueError("NULL_VALUE")
    if len(value) > contract.max_value_bytes:
        raise WholeValueError("VALUE_TOO_LARGE")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise WholeValueError("INVALID_UTF8") from None
    if not text.strip(" \t\r\n"):
        raise WholeValueError("EMPTY_VALUE")
    if "\\u" not in text:  # only an escape can be half a character, so one reading is enough
        try:
            event = _DECODER.decode(text)
        except DuplicateKeyError:
            pass  # what is wrong besides is said below
        except (ValueError, RecursionError):
            raise WholeValueError("MALFORMED_JSON") from None
        else:
            if isinstance(event, dict):
                return event
            raise WholeValueError("NOT_AN_OBJECT")
    return _read_closely(text)


def _read_closely(text: str) -> dict[str, Any]:
    """Return the object of a text that has equal keys or escapes, or say what is wrong with it."""
    try:
        read = json.loads(text, parse_float=Number, parse_int=Number, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise WholeValueError("MALFORMED_JSON") from None
    if not isinstance(read, dict):
        raise WholeValueError("NOT_AN_OBJECT")
    try:
        event = _DECODER.decode(text)
    except DuplicateKeyError:
        if _has_lone_surrogate(text):
            raise WholeValueError("MALFORMED_JSON") from None
        raise WholeValueError("DUPLICATE_KEY") from None
    if _has_lone_surrogate(text):
        raise WholeValueError("MALFORMED_JSON")
    return event  # type: ignore[no-any-return]


def _has_lone_surrogate(text: str) -> bool:
    escaped = json.loads(text, parse_float=str, parse_int=str, object_pairs_hook=list)
    try:
        json.dumps(escaped, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _field_reasons(
    event: dict[str, Any], contract: Contract, instants: dict[str, tuple[datetime, int]]
) -> Iterator[str]:
    """Yield what is wrong with fields; what the timestamps state is put into instants."""
    for field in contract.fields:
        name, kind = field.name, field.type
        value = event.get(name)
        if value is None:
            if field.structural:
                yield f"{name.upper()}_MISSING"
        elif kind == "decimal":
            yield from _amount_reasons(value, event.get("currency"), contract)
        elif kind == "boolean":
            if not isinstance(value, bool):
                yield f"{name.upper()}_TYPE"
        elif not isinstance(value, str):
            yield f"{name.upper()}_TYPE"
        else:
            if "\0" in value:
                yield "NUL_CHARACTER"
            if kind == "timestamp":
                instant = read_instant(value)
                if instant is None:
                    yield f"{name.upper()}_FORMAT"
                else:
                    instants[name] = instant


def _amount_reasons(value: Any, currency: Any, contract: Contract) -> Iterator[str]:
    if not isinstance(value, Number):
        yield "AMOUNT_TYPE"
        return
    whole, _, fraction = value.text.lstrip("-").partition(".")
    significant = (whole + fraction).lstrip("0")
    if set(value.text) & set("eE") or len(significant) > 38 or len(fraction) > 38:
        yield "AMOUNT_INEXACT"
        return
    if len(whole) > contract.amount_integer_digits:
        yield "AMOUNT_OVERFLOW"
    digits = contract.currencies.get(currency) if isinstance(currency, str) else None
    if len(fraction.rstrip("0")) > (contract.unknown_currency_digits if digits is None else digits):
        yield "AMOUNT_SCALE"


def read_instant(text: str) -> tuple[datetime, int] | None:
    """Return the instant that a text states and its zone in minutes east of UTC; None where the contract refuses it."""
    match = TIMESTAMP.fullmatch(text)
    if not match:
        return None
    hours, minutes = int(match[9] or 0), int(match[10] or 0)
    if minutes > 59 or hours * 60 + minutes > 18 * 60:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC), (-1 if match[8] == "-" else 1) * (hours * 60 + minutes)
    except (ValueError, OverflowError):
        return None
