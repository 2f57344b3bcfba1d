"""What may come while events flow, and what is refused with a reason."""

import pytest

from contracts.entities import contract_file, load_platform, parse_entity, stated_entity
from contracts.evolution import plan_evolution
from contracts.model import PAYMENTS, Entity

TEXT = contract_file(PAYMENTS).read_text()
MERCHANT_ID = """      - name: merchant_id
        logicalType: string
        physicalType: text
        classification: internal
        description: The merchant as the acquirer knows it.
        examples: [M1]
        logicalTypeOptions: {maxLength: 40}
"""
IP_ADDRESS = "      - name: ip_address\n"


def changed(*edits: tuple[str, str], version: str = "1.2.0") -> Entity:
    text = TEXT.replace("version: 1.1.0", f"version: {version}", 1)
    for old, new in edits:
        assert text.count(old) >= 1, old
        text = text.replace(old, new, 1)
    return parse_entity(text, load_platform())


def test_an_optional_field_comes_with_a_column_that_no_hash_holds() -> None:
    new = changed((IP_ADDRESS, MERCHANT_ID + IP_ADDRESS))
    way = plan_evolution(stated_entity(PAYMENTS), new)
    assert way.refused == ()
    assert [field.name for field in way.added] == ["merchant_id"]
    assert set(new.optional_fields) == {*way.old.optional_fields, *way.added}
    assert [f.name for f in new.identity_fields] == [f.name for f in way.old.identity_fields]
    assert way.loosened == ()


ALLOWED = {
    "a rule that is relaxed": ("amount > 0", "amount >= 0", ("AMOUNT_NOT_POSITIVE",)),
    "a value of a list": ("UPI, Net Banking, Wallet]", "UPI, Net Banking, Wallet, BNPL]", ("PAYMENT_METHOD_UNKNOWN",)),
    "a longer text": ("{maxLength: 45}", "{maxLength: 60}", ("IP_ADDRESS_TOO_LONG",)),
    "a rule": (
        '            implementation: "amount > 0"\n',
        '            implementation: "amount > 0"\n'
        "          - name: FRAUD_OF_NOTHING\n            type: custom\n            engine: tieout\n"
        "            description: A fraud is of an amount.\n"
        '            implementation: "not is_fraud or amount > 1"\n',
        (),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ALLOWED)
def test_what_breaks_nobody_may_come(name: str) -> None:
    old, new, loosened = ALLOWED[name]
    way = plan_evolution(stated_entity(PAYMENTS), changed((old, new)))
    assert way.refused == ()
    assert way.loosened == loosened
    assert not way.changes_nothing


REFUSED = {
    "a field that is taken away": (IP_ADDRESS, "      - name: address\n", "ip_address is taken away"),
    "another type": (
        "logicalType: boolean\n        physicalType: boolean",
        "logicalType: string\n        physicalType: text",
        "is_fraud gets another type"),
    "another data class": ("classification: personal", "classification: internal", "data class"),
    "a value that is taken away": ("UPI, Net Banking, Wallet]", "UPI, Net Banking]", "no longer takes Wallet"),
    "another identity": ("device_type, ip_address, is_fraud]", "device_type, ip_address]", "the identity changes"),
    "another status": ("final: [SUCCESS, FAILED]", "final: [SUCCESS, FAILED, REVERSED]", "the statuses change"),
    "another key": ("key\n        value: transaction_id", "key\n        value: customer_id", "the key changes"),
    "a structural field": (
        IP_ADDRESS,
        MERCHANT_ID + "        customProperties: [{property: structural, value: true}]\n" + IP_ADDRESS,
        "new and structural"),
    "fewer partitions": ("partitions: 6", "partitions: 4", "partitions change"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_breaks_those_who_read_is_refused_with_the_reason(name: str) -> None:
    old, new, said = REFUSED[name]
    refused = plan_evolution(stated_entity(PAYMENTS), changed((old, new))).refused
    assert any(said in why for why in refused), refused


def test_a_new_field_in_the_identity_is_refused() -> None:
    new = changed(
        (IP_ADDRESS, MERCHANT_ID + IP_ADDRESS), ("ip_address, is_fraud]", "ip_address, is_fraud, merchant_id]")
    )
    assert any("hashes would change" in why for why in plan_evolution(stated_entity(PAYMENTS), new).refused)


@pytest.mark.parametrize("version", ["1.1.0", "1.0.9"])
def test_a_change_without_a_higher_version_is_refused(version: str) -> None:
    new = changed(("amount > 0", "amount >= 0"), version=version)
    assert any("raise it" in why for why in plan_evolution(stated_entity(PAYMENTS), new).refused)


def test_no_change_is_no_evolution() -> None:
    way = plan_evolution(stated_entity(PAYMENTS), stated_entity(PAYMENTS))
    assert way.changes_nothing
    assert way.refused == ()
