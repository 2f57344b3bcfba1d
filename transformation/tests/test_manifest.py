"""The house rules of dbt, read from the project's own graph."""

from pathlib import Path
from typing import Any

import pytest

from contracts.entities import load_entity
from contracts.model import PAYMENTS


@pytest.fixture(scope="module")
def models(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    found = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert len(found) >= 14
    return found


def test_each_model_has_its_yml_beside_it(models: list[dict[str, Any]]) -> None:
    for model in models:
        assert model["patch_path"] == "tieout://" + model["original_file_path"].replace(".sql", ".yml"), model["name"]


def test_each_model_says_its_grain_and_describes_every_column(models: list[dict[str, Any]]) -> None:
    for model in models:
        assert "Grain: one row " in model["description"], model["name"]
        assert model["columns"], model["name"]
        silent = [name for name, column in model["columns"].items() if not column["description"].strip()]
        assert silent == [], model["name"]


def test_each_mart_has_an_enforced_contract_with_types(models: list[dict[str, Any]]) -> None:
    marts = [model for model in models if model["schema"] == "marts"]
    assert len(marts) >= 9
    for model in marts:
        assert model["contract"]["enforced"], model["name"]
        assert all(column["data_type"] for column in model["columns"].values()), model["name"]


def test_each_kept_mart_has_a_primary_key(models: list[dict[str, Any]]) -> None:
    tables = [m for m in models if m["schema"] == "marts" and m["config"]["materialized"] != "view"]
    assert len(tables) >= 6
    for model in tables:
        assert "primary_key" in [constraint["type"] for constraint in model["constraints"]], model["name"]


def test_each_models_key_is_tested(manifest: dict[str, Any], models: list[dict[str, Any]]) -> None:
    tested = {
        node["attached_node"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and node["test_metadata"]["name"] in {"unique", "unique_combination"}
    }
    # One row a row of stg_transactions, whose key is tested: the joins are to seeds with tested keys.
    exempt = {"model.tieout.int_transactions_enriched"}
    assert {model["unique_id"] for model in models} - tested == exempt


def test_folders_are_layers_are_schemas(models: list[dict[str, Any]]) -> None:
    for model in models:
        layer = model["fqn"][1]
        assert model["schema"] == layer
        assert model["name"].startswith({"staging": ("stg_",), "intermediate": ("int_",)}.get(layer, ("",)))
        if layer == "staging":
            assert len(model["sources"]) == 1, model["name"]


def test_no_mart_carries_a_personal_field(models: list[dict[str, Any]]) -> None:
    personal = {field.name for field in load_entity(PAYMENTS).fields if field.personal == "personal"}
    assert "customer_email" in personal
    for model in models:
        assert not personal & set(model["columns"]), model["name"]


def test_tests_of_the_fact_read_what_a_build_changed_or_stay_out_of_it(manifest: dict[str, Any]) -> None:
    of_fact = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and node["attached_node"] == "model.tieout.fact_transactions"
    ]
    assert len(of_fact) >= 8
    for test in of_fact:
        assert test["config"]["where"] == "__changed_rows__" or "full" in test["tags"], test["name"]


def test_every_mart_is_exposed_or_read_by_another(manifest: dict[str, Any], models: list[dict[str, Any]]) -> None:
    read = {parent for exposure in manifest["exposures"].values() for parent in exposure["depends_on"]["nodes"]}
    read |= {parent for model in models for parent in model["depends_on"]["nodes"]}
    for model in models:
        assert model["unique_id"] in read or model["name"] == "stg_merchants", model["name"]


def test_currencies_are_the_contracts(project: Path) -> None:
    lines = (project / "seeds" / "currencies.csv").read_text(encoding="utf-8").splitlines()[1:]
    written = {code: int(digits) for code, digits in (line.split(",") for line in lines)}
    assert written == dict(load_entity(PAYMENTS).currencies)


def test_payment_channels_cover_the_contracts_methods(project: Path) -> None:
    lines = (project / "seeds" / "payment_channels.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert {line.split(",")[0] for line in lines} == set(load_entity(PAYMENTS).field("payment_method").enum or ())
