"""The verdict on one value, by the strict parser: what decides wherever `contracts.judge` cannot prove an event usual.

Tests hold the two against each other on hostile and mutated values.
"""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from contracts.model import NUMBER_DECIMALS, Entity, Field, JsonLimits

TIMESTAMP = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?(?:Z|([+-])(\d{2}):(\d{2}))", re.ASCII
)
# A text, with the colon behind it if it is a key; a bracket; a number. Possessive, and a text that does not end is one
# too, so that no value is read more than once.
_TOKEN = re.compile(r'"((?:[^"\\]++|\\(?:.|\Z))*+)(?:"([ \t\r\n]*+:)?|\Z)|([\[{])|([\]}])|[0-9][0-9.eE+-]*+', re.DOTALL)


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

    def stated(self, field: Field) -> Any:
        """Return what the value states for a field: a Decimal, an instant, a text or a boolean; None where nothing."""
        if field.type == "timestamp":
            return self.occurred_at
        value = self.event.get(field.name) if self.event else None
        return Decimal(value.text) if isinstance(value, Number) else value


class DuplicateKeyError(Exception):
    """Two equal keys in one object."""


def judge(value: bytes | None, entity: Entity) -> Verdict:
    """Return what is wrong with a value, by the contract."""
    try:
        event = _read(value, entity)
    except WholeValueError as whole:
        return Verdict(frozenset({str(whole)}))
    instants: dict[str, tuple[datetime, int]] = {}
    reasons = frozenset(_field_reasons(event, entity, instants))
    if reasons:
        return Verdict(reasons)
    occurred_at, offset = instants[entity.event_time]
    unknown = len(event) - sum(field.name in event for field in entity.fields)
    return Verdict(reasons, event, Decimal(event[entity.amount].text), occurred_at, offset, unknown)


class WholeValueError(Exception):
    """The code of what is wrong with the whole value."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise DuplicateKeyError
    return dict(pairs)


def _no_constant(_: str) -> None:
    raise ValueError


_DECODER = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=_no_constant, object_pairs_hook=_pairs)


def _read(value: bytes | None, entity: Entity) -> dict[str, Any]:
    if value is None:
        raise WholeValueError("NULL_VALUE")
    if len(value) > entity.platform.max_value_bytes:
        raise WholeValueError("VALUE_TOO_LARGE")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise WholeValueError("INVALID_UTF8") from None
    if not text.strip(" \t\r\n"):
        raise WholeValueError("EMPTY_VALUE")
    if _is_beyond(text, entity.platform.json_limits):
        raise WholeValueError("MALFORMED_JSON")
    try:
        return _parse(text)
    except RecursionError:
        # Within the limits only a caller whose own stack is nearly full comes here: a thread has a stack of its own.
        with ThreadPoolExecutor(max_workers=1) as pool:
            return pool.submit(_parse, text).result()


def _is_beyond(text: str, limits: JsonLimits) -> bool:
    """Say whether a text has more levels, digits or characters of a key than the contract allows, if it is JSON."""
    brackets = text.count("[") + text.count("{")
    if brackets <= limits.nesting_levels and len(text) <= min(limits.number_digits, limits.key_characters):
        return False
    level = 0
    for token in _TOKEN.finditer(text):
        content, colon, opens, closes = token.groups()
        if opens:
            level += 1
            if level > limits.nesting_levels:
                return True
        elif closes:
            level -= 1
        elif content is None:
            # A zero that stands alone before the point is no digit: Jackson does not count it either.
            written = token[0].removeprefix("0")
            if len(written) > limits.number_digits and sum(map(str.isdigit, written)) > limits.number_digits:
                return True
        elif colon and len(content) * 2 > limits.key_characters and _length(content) > limits.key_characters:
            return True
    return False


def _length(content: str) -> int:
    """Return the length of a key as Java counts it: a character beyond U+FFFF is two."""
    return len(_unescaped(content).encode("utf-16-le", "surrogatepass")) // 2


def _unescaped(content: str) -> str:
    """Return what stands between the quotes of a JSON text; the same where it is none."""
    try:
        return str(json.loads(f'"{content}"'))
    except ValueError:
        return content


def _parse(text: str) -> dict[str, Any]:
    """Return the object that a text is, or say what is wrong with it."""
    try:
        event = _DECODER.decode(text)
        has_equal_keys = False
    except DuplicateKeyError:
        event, has_equal_keys = _read_any_keys(text), True
    except ValueError:
        raise WholeValueError("MALFORMED_JSON") from None
    if not isinstance(event, dict):
        raise WholeValueError("NOT_AN_OBJECT")
    if _has_lone_surrogate(text):
        raise WholeValueError("MALFORMED_JSON")
    if has_equal_keys:
        raise WholeValueError("DUPLICATE_KEY")
    return event


def _read_any_keys(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=_no_constant)
    except ValueError:
        raise WholeValueError("MALFORMED_JSON") from None


def _has_lone_surrogate(text: str) -> bool:
    """Say whether a JSON document has half a character, which only an escape can be."""
    if "\\u" not in text:
        return False
    try:
        for token in _TOKEN.finditer(text):
            if token[1] and "\\u" in token[1]:
                _unescaped(token[1]).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _field_reasons(event: dict[str, Any], entity: Entity, instants: dict[str, tuple[datetime, int]]) -> Iterator[str]:
    """Yield what is wrong with fields; what the timestamps state is put into instants."""
    for field in entity.fields:
        name, kind = field.name, field.type
        value = event.get(name)
        if value is None:
            if field.structural:
                yield f"{name.upper()}_MISSING"
        elif kind == "decimal":
            decimals = _money_decimals(event.get(entity.currency), entity) if name == entity.amount else NUMBER_DECIMALS
            yield from _number_reasons(name.upper(), value, decimals, entity)
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


def _money_decimals(currency: Any, entity: Entity) -> int:
    known = entity.currencies.get(currency) if isinstance(currency, str) else None
    return entity.platform.unknown_currency_digits if known is None else known


def _number_reasons(code: str, value: Any, decimals: int, entity: Entity) -> Iterator[str]:
    if not isinstance(value, Number):
        yield f"{code}_TYPE"
        return
    whole, _, fraction = value.text.lstrip("-").partition(".")
    significant = (whole + fraction).lstrip("0")
    if set(value.text) & set("eE") or len(significant) > 38 or len(fraction) > 38:
        yield f"{code}_INEXACT"
        return
    if len(whole) > entity.platform.amount_integer_digits:
        yield f"{code}_OVERFLOW"
    if len(fraction.rstrip("0")) > decimals:
        yield f"{code}_SCALE"


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
