from collections.abc import Callable

import pytest

from contracts.diff import compare, version_is_honest
from contracts.entities import PLATFORM_FILE, contract_file, load_entity, parse_entity, parse_platform
from contracts.model import PAYMENTS, Entity

# A contract and the platform's part, as one text to edit.
BREAK = "\n# ---- platform\n"
TEXT = contract_file(PAYMENTS).read_text() + BREAK + PLATFORM_FILE.read_text()


def edited(old: str, new: str) -> str:
    assert TEXT.count(old) >= 1
    return TEXT.replace(old, new, 1)


def parsed(text: str) -> Entity:
    contract, platform = text.split(BREAK)
    return parse_entity(contract, parse_platform(platform))


BREAKING: dict[str, Callable[[], str]] = {
    "a field's type": lambda: edited(
        "logicalType: boolean\n        physicalType: boolean", "logicalType: string\n        physicalType: text"
    ),
    "a value taken from a list": lambda: edited("UPI, Net Banking, Wallet]", "UPI, Net Banking]"),
    "a value put into a list": lambda: edited("[PENDING, SUCCESS, FAILED]", "[PENDING, SUCCESS, FAILED, REVERSED]"),
    "fewer minor digits": lambda: edited("KWD: 3", "KWD: 2"),
    "fewer digits of an amount": lambda: edited("amountIntegerDigits: 16", "amountIntegerDigits: 10"),
    "fewer levels": lambda: edited("nestingLevels: 500", "nestingLevels: 400"),
    "another number of partitions": lambda: edited("partitions: 6", "partitions: 12"),
    "a header of another name": lambda: edited("status_at: When", "reached_at: When"),
    "a shorter text": lambda: edited("maxLength: 64", "maxLength: 32"),
    "a stricter rule": lambda: edited("amount > 0", "amount > 1"),
    "a reason code of another name": lambda: edited("AMOUNT_NOT_POSITIVE", "AMOUNT_TOO_SMALL"),
    "a field of another name": lambda: edited("- name: device_type", "- name: device"),
}


@pytest.mark.parametrize("name", BREAKING)
def test_a_breaking_change_is_named_and_needs_a_major_version(name: str) -> None:
    old, text = load_entity(PAYMENTS), BREAKING[name]()
    changes = compare(old, parsed(text))
    assert any(change.breaks for change in changes)
    assert not version_is_honest(old, parsed(text), changes)
    assert not version_is_honest(old, parsed(text.replace("version: 1.1.0", "version: 1.2.0", 1)), changes)
    assert version_is_honest(old, parsed(text.replace("version: 1.1.0", "version: 2.0.0", 1)), changes)


def test_a_reworded_meaning_breaks_nobody_but_needs_a_version() -> None:
    old, text = load_entity(PAYMENTS), edited("Who is paid.", "The payee.")
    changes = compare(old, parsed(text))
    assert [change.breaks for change in changes] == [False]
    assert not version_is_honest(old, parsed(text), changes)
    assert version_is_honest(old, parsed(text.replace("version: 1.1.0", "version: 1.1.1", 1)), changes)


def test_a_longer_text_breaks_no_consumer_but_its_rule_is_named() -> None:
    changes = compare(load_entity(PAYMENTS), parsed(edited("maxLength: 50", "maxLength: 60")))
    assert {(change.subject, change.breaks) for change in changes} >= {("device_type", False)}


def test_no_change_is_no_change() -> None:
    assert compare(load_entity(PAYMENTS), parsed(TEXT)) == []


def test_an_optional_field_breaks_nobody_with_its_own_rules_and_a_rule_of_a_known_field_does() -> None:
    field = """      - name: device_model
        logicalType: string
        physicalType: text
        classification: internal
        description: The model.
        examples: [M1]
        logicalTypeOptions: {maxLength: 40}
"""
    old, new = load_entity(PAYMENTS), parsed(edited("      - name: ip_address\n", f"{field}      - name: ip_address\n"))
    changes = compare(old, new)
    assert {change.subject for change in changes} == {"device_model", "DEVICE_MODEL_TYPE", "DEVICE_MODEL_TOO_LONG"}
    assert not any(change.breaks for change in changes)
    rule = "          - name: ON_NOTHING\n            type: custom\n            engine: tieout\n"
    rule += '            description: x\n            implementation: "is_fraud or amount > 1"\n'
    place = "        quality:\n          - name: AMOUNT_NOT_POSITIVE\n"
    held = compare(old, parsed(edited(place, f"        quality:\n{rule}          - name: AMOUNT_NOT_POSITIVE\n")))
    assert [(change.subject, change.breaks) for change in held] == [("ON_NOTHING", True)]
