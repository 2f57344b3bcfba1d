"""Events broken on purpose: one kind for each rule of the contract that a single event can break.

A fault takes the fields of a sound event (amount as Decimal) and a variant number, and returns fields that break its
rule and no other, or the bytes where no fields could. Rules that compare events have theirs in `follow_ups`.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import orjson

from contracts.model import Contract, Field, Rule
from data_generator.events import to_json

Fields = dict[str, Any]
Broken = Fields | bytes | None
Fault = Callable[[Fields, int], Broken]

EXACT_RESEND: Final = "EXACT_RESEND"
FOLLOW_UPS: Final = (EXACT_RESEND, "CONFLICTING_DUPLICATE", "CONTRADICTING_STATUS", "SETTLEMENT_MISMATCH")
# Broken by a value of a megabyte and more: sent once in so many rounds through the kinds.
HEAVY: Final = frozenset({"VALUE_TOO_LARGE"})
HEAVY_EVERY: Final = 10

_BLANKS: Final = ("", "   ", "\t")


def _with(**changes: object) -> Fault:
    return lambda fields, _: {**fields, **changes}


def _without(fields: Fields, name: str) -> Fields:
    return {key: value for key, value in fields.items() if key != name}


def _null_or_absent(name: str) -> Fault:
    return lambda fields, variant: {**fields, name: None} if variant % 2 else _without(fields, name)


def _null_absent_or_blank(name: str) -> Fault:
    def broken(fields: Fields, variant: int) -> Broken:
        if variant % 3 == 0:
            return {**fields, name: None}
        if variant % 3 == 1:
            return _without(fields, name)
        return {**fields, name: _BLANKS[variant % len(_BLANKS)]}

    return broken


def _wrong_type(field: Field) -> Fault:
    def broken(fields: Fields, variant: int) -> Broken:
        if field.type == "decimal":
            wrong: tuple[object, ...] = (str(fields[field.name]), True, [1], {"value": 1})
        elif field.type == "boolean":
            wrong = ("true", 1, 0, ["false"])
        elif field.type == "timestamp":
            wrong = (1_700_000_000, True, {"seconds": 1}, [2026])
        else:
            wrong = (12345, False, ["text"], {"value": "text"})
        return {**fields, field.name: wrong[variant % len(wrong)]}

    return broken


def _too_long(field: Field) -> Fault:
    def broken(fields: Fields, _: int) -> Broken:
        assert field.max_length is not None  # noqa: S101 (the rule exists only where there is a limit)
        changed = {**fields, field.name: "x" * (field.max_length + 1)}
        if field.name == "failure_reason":
            changed["status"] = "FAILED"
        return changed

    return broken


def _failed_without_reason(fields: Fields, variant: int) -> Broken:
    return {**fields, "status": "FAILED", "failure_reason": (None, "", "  ")[variant % 3]}


def _too_many_digits(fields: Fields, _: int) -> Broken:
    return {**fields, "amount": fields["amount"] + Decimal("0.001")}


def _overflow(fields: Fields, variant: int) -> Broken:
    return {**fields, "amount": Decimal(10) ** (16 + variant % 3)}


def _inexact(fields: Fields, variant: int) -> Broken:
    number = (b"1e400", b"1.5e-3", b"12E1")[variant % 3]
    return {**fields, "amount": orjson.Fragment(number)}


def _not_positive(fields: Fields, variant: int) -> Broken:
    return {**fields, "amount": Decimal("0.00") if variant % 2 else -abs(fields["amount"])}


def _bad_time(fields: Fields, variant: int) -> Broken:
    local = fields["timestamp"][:19]
    wrong = (
        local,
        local.replace("T", " ").replace("-", "/") + "Z",
        "2026-02-30T10:00:00Z",
        f"{local}.1234567Z",
        "0001-01-01T00:00:00+05:30",
        "21-11-2026 10:11",
        "",
    )
    return {**fields, "timestamp": wrong[variant % len(wrong)]}


def _not_json(fields: Fields, variant: int) -> Broken:
    text = to_json(fields)
    return (text[: len(text) * 2 // 3], text + text, b"not json at all", text[:-1] + b",}", text[:-1])[variant % 5]


def _not_an_object(fields: Fields, variant: int) -> Broken:
    text = to_json(fields)
    return (b"[" + text + b"]", b'"text"', b"42", b"null", b"true")[variant % 5]


def _key_twice(fields: Fields, variant: int) -> Broken:
    name = ("amount", "status", "merchant_name")[variant % 3]
    return to_json(fields)[:-1] + b"," + to_json({name: fields[name]})[1:]


def _bad_utf8(fields: Fields, variant: int) -> Broken:
    wrong = (b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\xaf")[variant % 4]
    return to_json({**fields, "merchant_name": "#"}).replace(b'"#"', b'"' + wrong + b'"', 1)


def _nul(fields: Fields, variant: int) -> Broken:
    name = ("merchant_name", "customer_name", "city")[variant % 3]
    return {**fields, name: f"{fields[name]}\0"}


def _whole_value(limit: int) -> dict[str, Fault]:
    return {
        "NULL_VALUE": lambda _fields, _variant: None,
        "EMPTY_VALUE": lambda _fields, variant: (b"", b"  ", b"\n")[variant % 3],
        "VALUE_TOO_LARGE": lambda fields, _: to_json({**fields, "padding": "x" * limit}),
        "INVALID_UTF8": _bad_utf8,
        "MALFORMED_JSON": _not_json,
        "NOT_AN_OBJECT": _not_an_object,
        "DUPLICATE_KEY": _key_twice,
        "NUL_CHARACTER": _nul,
    }


_ONE_FIELD: Final[Mapping[str, Fault]] = {
    "AMOUNT_SCALE": _too_many_digits,
    "AMOUNT_OVERFLOW": _overflow,
    "AMOUNT_INEXACT": _inexact,
    "AMOUNT_NOT_POSITIVE": _not_positive,
    "TIMESTAMP_FORMAT": _bad_time,
    "TIMESTAMP_IN_FUTURE": _with(timestamp="2999-01-01T00:00:00+00:00"),
    "TIMESTAMP_TOO_EARLY": _with(timestamp="1999-12-31T23:59:59+00:00"),
    "TRANSACTION_ID_BLANK": lambda fields, variant: {**fields, "transaction_id": _BLANKS[variant % 3]},
    "CUSTOMER_ID_MISSING": _null_absent_or_blank("customer_id"),
    "MERCHANT_NAME_MISSING": _null_absent_or_blank("merchant_name"),
    "MERCHANT_CATEGORY_MISSING": _null_absent_or_blank("merchant_category"),
    "CURRENCY_UNKNOWN": lambda fields, variant: {**fields, "currency": ("XXX", "usd", "BTC", "")[variant % 4]},
    "STATUS_UNKNOWN": lambda fields, variant: {
        **fields,
        "status": ("SETTLED", "success", "")[variant % 3],
        "failure_reason": None,
    },
    "PAYMENT_METHOD_UNKNOWN": lambda fields, variant: {
        **fields,
        "payment_method": (None, "Cheque", "upi")[variant % 3],
    },
    "FAILURE_REASON_MISSING": _failed_without_reason,
    "FAILURE_REASON_UNEXPECTED": _with(status="SUCCESS", failure_reason="INSUFFICIENT_FUNDS"),
    "IS_FRAUD_MISSING": _null_or_absent("is_fraud"),
}


def _derived(rule: Rule, contract: Contract) -> Fault | None:
    if rule.field is None:
        return None
    suffix = re.sub(f"^{rule.field.upper()}_", "", rule.code)
    if suffix == "TYPE":
        return _wrong_type(contract.field(rule.field))
    if suffix == "MISSING":
        return _null_or_absent(rule.field)
    return _too_long(contract.field(rule.field)) if suffix == "TOO_LONG" else None


def fault_kinds(contract: Contract) -> dict[str, Fault]:
    """Return a fault for each rule of the contract that a single event can break, by reason code, in its order.

    Raises:
        LookupError: the contract has a rule that nothing here breaks.
    """
    known = {**_whole_value(contract.max_value_bytes), **_ONE_FIELD}
    kinds: dict[str, Fault] = {}
    for rule in contract.rules:
        if rule.scope != "event":
            continue
        fault = known.get(rule.code) or _derived(rule, contract)
        if fault is None:
            raise LookupError(f"no fault breaks the contract's rule {rule.code}")
        kinds[rule.code] = fault
    return kinds
