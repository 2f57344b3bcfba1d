import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import jsonschema
import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard

from contracts.entities import contract_file, load_entities, load_entity
from contracts.model import PAYMENTS
from contracts.render import find_stale, rendered, write_all
from core.layout import CHECKOUT

VALID = {
    "transaction_id": "t1",
    "customer_id": "c1",
    "customer_name": "Asha Iyer",
    "customer_email": "asha@example.com",
    "merchant_name": "Chai Point",
    "merchant_category": "food_dining",
    "amount": 12.5,
    "payment_method": "UPI",
    "status": "SUCCESS",
    "failure_reason": None,
    "timestamp": "2026-11-21T10:11:12+05:30",
    "city": "Bengaluru",
    "state": "Karnataka",
    "country": "IN",
    "currency": "INR",
    "device_type": "mobile",
    "ip_address": "203.0.113.7",
    "is_fraud": False,
    "processing_time": 1.25,
    "customer_segment": "Corporate",
    "fee_percent": None,
}
ARRIVED = datetime(2026, 11, 21, 12, tzinfo=UTC)
BREAKERS = {
    "TRANSACTION_ID_BLANK": {"transaction_id": " \t\n"},
    "CUSTOMER_ID_MISSING": {"customer_id": None},
    "MERCHANT_NAME_MISSING": {"merchant_name": ""},
    "MERCHANT_CATEGORY_MISSING": {"merchant_category": None},
    "AMOUNT_NOT_POSITIVE": {"amount": 0},
    "PAYMENT_METHOD_UNKNOWN": {"payment_method": None},
    "STATUS_UNKNOWN": {"status": "DONE"},
    "FAILURE_REASON_MISSING": {"status": "FAILED"},
    "FAILURE_REASON_UNEXPECTED": {"failure_reason": "TIMEOUT"},
    "CURRENCY_UNKNOWN": {"currency": "XXX"},
    "PROCESSING_TIME_NEGATIVE": {"processing_time": -0.0001},
    "FEE_PERCENT_OUT_OF_RANGE": {"fee_percent": 100.0001},
    "TIMESTAMP_IN_FUTURE": {"timestamp": (ARRIVED + timedelta(days=2)).isoformat()},
    "TIMESTAMP_TOO_EARLY": {"timestamp": "1999-12-31T23:59:59Z"},
}


def broken_rules(event: dict[str, object]) -> set[str]:
    entity = load_entity(PAYMENTS)
    types = {"string": "varchar", "decimal": "decimal(20,4)", "boolean": "boolean", "timestamp": "timestamptz"}
    columns = ", ".join(f"cast(? as {types[field.type]}) as {field.stored_as}" for field in entity.fields)
    rules = [rule for rule in entity.rules if rule.sql]
    cases = ", ".join(f"coalesce({rule.sql}, false)" for rule in rules)
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        row = connection.execute(
            f"select {cases} from (select {columns}, cast(? as timestamptz) as arrived_at)",
            [*(event[field.name] for field in entity.fields), ARRIVED],
        ).fetchone()
    assert row is not None
    return {rule.code for rule, passed in zip(rules, row, strict=True) if not passed}


@pytest.mark.parametrize(("name", "fields"), [("transactions", 21), ("refunds", 9)])
def test_a_contract_is_a_valid_odcs_document(name: str, fields: int) -> None:
    document = OpenDataContractStandard.from_file(str(contract_file(name)))
    assert document.schema_ is not None
    assert len(document.schema_[0].properties or []) == fields


def test_every_white_space_alone_is_a_blank_customer() -> None:
    blanks = [chr(point) for point in range(0x110000) if chr(point).isspace()] + ["\u200b", "\u2060", "\ufeff"]
    broken = [broken_rules(VALID | {"customer_id": blank * 2}) for blank in blanks]
    assert broken == [{"CUSTOMER_ID_MISSING"}] * len(blanks)
    assert broken_rules(VALID | {"customer_id": f"C{blanks[-1]}1"}) == set()


def test_reason_codes_are_unique() -> None:
    codes = [rule.code for rule in load_entity(PAYMENTS).rules]
    assert len(codes) == len(set(codes)) > 50


def test_the_five_structural_fields_are_the_ones_without_which_money_has_no_place() -> None:
    structural = {field.name for field in load_entity(PAYMENTS).fields if field.structural}
    assert structural == {"transaction_id", "amount", "currency", "status", "timestamp"}


def test_every_currency_that_is_allowed_has_its_minor_digits() -> None:
    entity = load_entity(PAYMENTS)
    assert set(entity.field("currency").enum or ()) == set(entity.currencies)


def test_a_valid_event_breaks_no_rule() -> None:
    assert broken_rules(VALID) == set()


@pytest.mark.parametrize(("code", "change"), BREAKERS.items())
def test_each_rule_is_broken_by_its_own_fault_alone(code: str, change: dict[str, object]) -> None:
    assert broken_rules(VALID | change) == {code}


@pytest.mark.parametrize("field", [f for f in load_entity(PAYMENTS).fields if f.max_length], ids=lambda f: f.name)
def test_a_text_that_is_too_long_breaks_its_limit(field: object) -> None:
    name, limit = field.name, field.max_length  # type: ignore[attr-defined]
    status = {"status": "FAILED"} if name == "failure_reason" else {}
    assert broken_rules(VALID | status | {name: "x" * limit}) == set()
    assert broken_rules(VALID | status | {name: "x" * (limit + 1)}) == {f"{name.upper()}_TOO_LONG"}


def test_every_event_rule_has_a_fault_here() -> None:
    stated = {rule.code for rule in load_entity(PAYMENTS).rules if rule.sql and not rule.code.endswith("_TOO_LONG")}
    assert stated == set(BREAKERS)


def test_all_rules_that_an_event_breaks_are_named() -> None:
    assert broken_rules(VALID | {"amount": -1, "currency": "XXX", "customer_id": " "}) == {
        "AMOUNT_NOT_POSITIVE",
        "CURRENCY_UNKNOWN",
        "CUSTOMER_ID_MISSING",
    }


def test_the_json_schema_takes_the_valid_event_and_refuses_broken_ones() -> None:
    schema = json.loads((CHECKOUT / "contracts/rendered/transactions.schema.json").read_text())
    jsonschema.validate(VALID, schema)
    for change in ({"amount": "12.5"}, {"amount": 0}, {"status": "DONE"}, {"customer_id": None}, {"is_fraud": "true"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(VALID | change, schema)


def test_the_rendered_files_are_as_the_contract_says() -> None:
    assert find_stale(load_entities(), CHECKOUT) == []


def test_a_rendered_file_that_someone_edits_is_found_and_written_anew(tmp_path: Path) -> None:
    entities = load_entities()
    assert sorted(write_all(entities, tmp_path)) == sorted(rendered(entities))
    edited = tmp_path / "docs/contract.md"
    edited.write_text(edited.read_text() + "one more line\n")
    assert find_stale(entities, tmp_path) == ["docs/contract.md"]
    assert write_all(entities, tmp_path) == ["docs/contract.md"]
    assert find_stale(entities, tmp_path) == []


def test_each_field_has_its_docs_block_and_its_source_column() -> None:
    blocks = (CHECKOUT / "transformation/models/contract.md").read_text()
    sources = yaml.safe_load((CHECKOUT / "transformation/models/staging/_sources.yml").read_text())
    tables = {table["name"]: [c["name"] for c in table["columns"]] for table in sources["sources"][0]["tables"]}
    fields = load_entity(PAYMENTS).fields
    assert all(f"{{% docs transaction__{field.name} %}}" in blocks for field in fields)
    assert {field.stored_as for field in fields} <= set(tables["transactions"])
