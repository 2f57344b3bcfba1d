"""Events broken on purpose: one kind for each rule of a contract that a single event can break.

A fault takes the fields of a sound event (numbers as Decimal) and a variant number. It returns fields that break its
rule and no other, or the bytes where no fields could. What a contract's own rules are broken by is data: the entity's
samples.yaml. What follows from a field's type or from the form of JSON is here, for all entities.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from contracts.entities import contract_file
from contracts.event_json import to_json
from contracts.model import NUMBER_DECIMALS, Entity, Field, Rule

Fields = dict[str, Any]
Broken = Fields | bytes | None
Samples = Mapping[str, Any]
Fault = Callable[[Fields, int], Broken]

# In a sample: the fields that the event lacks.
WITHOUT: Final = "without"
# Broken by a value of a megabyte and more: sent once in so many rounds through the kinds.
HEAVY: Final = frozenset({"VALUE_TOO_LARGE"})
HEAVY_EVERY: Final = 10


def samples_file(name: str) -> Path:
    """Return the file with an entity's samples."""
    return contract_file(name).with_name("samples.yaml")


@cache
def load_samples(name: str) -> dict[str, Any]:
    """Return an entity's samples: `sound`, the fields of an event that passes, and `breaks`, changes by reason code."""
    found: dict[str, Any] = yaml.safe_load(samples_file(name).read_text(encoding="utf-8"))
    return found


def sound_event(entity: Entity, samples: Samples | None = None) -> Fields:
    """Return the fields of an event that breaks nothing, numbers as Decimal.

    Args:
        entity: whose event.
        samples: the entity's; without them they are read.
    """
    return _typed((samples or load_samples(entity.name))["sound"], entity)


def _typed(fields: Mapping[str, Any], entity: Entity) -> Fields:
    numbers = {field.name for field in entity.fields if field.type == "decimal"}
    return {name: Decimal(value) if name in numbers and isinstance(value, str) else value
            for name, value in fields.items()}  # fmt: skip


def _sampled(changes: Sequence[Mapping[str, Any]], entity: Entity) -> Fault:
    typed = [_typed(each, entity) for each in changes]

    def broken(fields: Fields, variant: int) -> Broken:
        change = typed[variant % len(typed)]
        left_out = change.get(WITHOUT, [])
        changed = {**fields, **{name: value for name, value in change.items() if name != WITHOUT}}
        return {name: value for name, value in changed.items() if name not in left_out}

    return broken


def _null_or_absent(name: str) -> Fault:
    def broken(fields: Fields, variant: int) -> Broken:
        return {**fields, name: None} if variant % 2 else {key: value for key, value in fields.items() if key != name}

    return broken


def _wrong_type(field: Field) -> Fault:
    def broken(fields: Fields, variant: int) -> Broken:
        if field.type == "decimal":
            wrong: tuple[object, ...] = (str(fields.get(field.name, 1)), True, [1], {"value": 1})
        elif field.type == "boolean":
            wrong = ("true", 1, 0, ["false"])
        elif field.type == "timestamp":
            wrong = (1_700_000_000, True, {"seconds": 1}, [2026])
        else:
            wrong = (12345, False, ["text"], {"value": "text"})
        return {**fields, field.name: wrong[variant % len(wrong)]}

    return broken


def _too_long(field: Field) -> Fault:
    assert field.max_length is not None  # noqa: S101 (the rule exists only where there is a limit)
    text = "x" * (field.max_length + 1)
    return lambda fields, _: {**fields, field.name: text}


def _too_many_digits(name: str, entity: Entity) -> Fault:
    def broken(fields: Fields, _: int) -> Broken:
        digits = NUMBER_DECIMALS
        if name == entity.amount:
            digits = entity.currencies.get(fields[entity.currency], entity.platform.unknown_currency_digits)
        return {**fields, name: (fields.get(name) or Decimal(1)) + Decimal(1).scaleb(-digits - 1)}

    return broken


def _overflow(name: str, entity: Entity) -> Fault:
    digits = entity.platform.amount_integer_digits
    return lambda fields, variant: {**fields, name: Decimal(10) ** (digits + variant % 3)}


def _inexact(name: str) -> Fault:
    numbers = (b"1e400", b"1.5e-3", b"12E1")
    return lambda fields, variant: {**fields, name: orjson.Fragment(numbers[variant % 3])}


def _bad_time(name: str) -> Fault:
    def broken(fields: Fields, variant: int) -> Broken:
        local = fields[name][:19]
        wrong = (
            local,
            local.replace("T", " ").replace("-", "/") + "Z",
            "2026-02-30T10:00:00Z",
            f"{local}.1234567Z",
            "0001-01-01T00:00:00+05:30",
            "21-11-2026 10:11",
            "",
        )
        return {**fields, name: wrong[variant % len(wrong)]}

    return broken


def _not_json(fields: Fields, variant: int) -> Broken:
    text = to_json(fields)
    return (text[: len(text) * 2 // 3], text + text, b"not json at all", text[:-1] + b",}", text[:-1])[variant % 5]


def _not_an_object(fields: Fields, variant: int) -> Broken:
    text = to_json(fields)
    return (b"[" + text + b"]", b'"text"', b"42", b"null", b"true")[variant % 5]


def _key_twice(entity: Entity) -> Fault:
    names = (entity.amount, entity.statuses.field, entity.key)

    def broken(fields: Fields, variant: int) -> Broken:
        name = names[variant % 3]
        return to_json(fields)[:-1] + b"," + to_json({name: fields[name]})[1:]

    return broken


def _bad_utf8(text: str) -> Fault:
    wrong = (b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\xaf")
    return lambda fields, variant: to_json({**fields, text: "#"}).replace(b'"#"', b'"' + wrong[variant % 4] + b'"', 1)


def _nul(texts: Sequence[str]) -> Fault:
    def broken(fields: Fields, variant: int) -> Broken:
        name = texts[variant % len(texts)]
        return {**fields, name: f"{fields.get(name, '')}\0"}

    return broken


def _whole_value(entity: Entity) -> dict[str, Fault]:
    fixed = {entity.key, *entity.statuses.fields, entity.currency}
    texts = [f.name for f in entity.fields if f.type == "string" and f.name not in fixed and not f.enum]
    padding = "x" * entity.platform.max_value_bytes
    return {
        "NULL_VALUE": lambda _fields, _variant: None,
        "EMPTY_VALUE": lambda _fields, variant: (b"", b"  ", b"\n")[variant % 3],
        "VALUE_TOO_LARGE": lambda fields, _: to_json({**fields, "padding": padding}),
        "INVALID_UTF8": _bad_utf8(texts[0]),
        "MALFORMED_JSON": _not_json,
        "NOT_AN_OBJECT": _not_an_object,
        "DUPLICATE_KEY": _key_twice(entity),
        "NUL_CHARACTER": _nul(texts),
    }


def _derived(rule: Rule, entity: Entity) -> Fault | None:
    if rule.field is None:
        return None
    field = entity.field(rule.field)
    kind = re.sub(f"^{rule.field.upper()}_", "", rule.code)
    known: dict[str, Callable[[], Fault]] = {
        "TYPE": lambda: _wrong_type(field),
        "MISSING": lambda: _null_or_absent(field.name),
        "TOO_LONG": lambda: _too_long(field),
        "SCALE": lambda: _too_many_digits(field.name, entity),
        "OVERFLOW": lambda: _overflow(field.name, entity),
        "INEXACT": lambda: _inexact(field.name),
        "FORMAT": lambda: _bad_time(field.name),
    }
    return known[kind]() if kind in known and not rule.stated else None


def fault_kinds(entity: Entity, samples: Samples | None = None) -> dict[str, Fault]:
    """Return a fault for each rule of the contract that a single event can break, by reason code, in its order.

    Args:
        entity: whose events.
        samples: the entity's; without them they are read.

    Raises:
        LookupError: the contract has a rule that no sample breaks.
    """
    breaks = (samples or load_samples(entity.name))["breaks"]
    known = {**_whole_value(entity), **{code: _sampled(changes, entity) for code, changes in breaks.items()}}
    kinds: dict[str, Fault] = {}
    for rule in entity.rules:
        if rule.scope != "event":
            continue
        fault = known.get(rule.code) or _derived(rule, entity)
        if fault is None:
            raise LookupError(f"no sample of {samples_file(entity.name)} breaks the contract's rule {rule.code}")
        kinds[rule.code] = fault
    return kinds
