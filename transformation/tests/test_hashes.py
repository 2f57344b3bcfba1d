"""Which models ask for new rows when something of the project changes. No database is needed."""

import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from transformation.hashes import files_digest, model_hashes, project_hash

Manifest = dict[str, Any]

FACTS = ["fact_refunds", "fact_transactions"]
CITIES = ["daily_segment_totals", "int_customer_cities", "int_customer_segments", "int_customers"]


def changed(manifest: Manifest, change: Callable[[Manifest], None]) -> list[str]:
    """Return the models whose hash is another one after a change of the manifest."""
    other = deepcopy(manifest)
    change(other)
    before, after = model_hashes(manifest), model_hashes(other)
    assert len(before) >= 12
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def in_code(name: str, old: str, new: str) -> Callable[[Manifest], None]:
    def change(manifest: Manifest) -> None:
        node = manifest["nodes"][f"model.tieout.{name}"]
        assert old in node["raw_code"]
        node["raw_code"] = node["raw_code"].replace(old, new)

    return change


def in_macro(name: str, more: str = "\nselect 1") -> Callable[[Manifest], None]:
    def change(manifest: Manifest) -> None:
        manifest["macros"][f"macro.tieout.{name}"]["macro_sql"] += more

    return change


def in_column(model: str, column: str) -> Callable[[Manifest], None]:
    def change(manifest: Manifest) -> None:
        manifest["nodes"][f"model.tieout.{model}"]["columns"][column]["data_type"] = "text"

    return change


def in_description(manifest: Manifest) -> None:
    for node in manifest["nodes"].values():
        node["description"] = "Said in other words."


def in_seed(manifest: Manifest) -> None:
    manifest["nodes"]["seed.tieout.states"]["checksum"]["checksum"] = "another"


@pytest.mark.parametrize(
    ("change", "asks"),
    [
        (in_code("daily_revenue_summary", "numeric(20, 4)", "numeric(20, 2)"), []),
        (in_code("dim_customers", "cross join newest", "cross join newest where true"), []),
        (in_description, []),
        (in_macro("record_model"), []),
        (in_macro("get_where_subquery"), []),
        (in_code("daily_revenue_totals", "group by", "\n-- Said in other words.\n{# twice #}group by"), []),
        (in_code("daily_revenue_totals", "group by", "where true group by"), ["daily_revenue_totals"]),
        (in_column("daily_revenue_totals", "fraud_count"), ["daily_revenue_totals"]),
        (in_code("fact_transactions", "'load_id',", "'load_id', 'is_large',"), ["fact_transactions"]),
        (in_code("int_transactions_enriched", "0.01", "0.02"), FACTS),
        (in_code("stg_transactions", "known_at desc", "known_at asc"), FACTS),
        (in_macro("round_half_even"), FACTS),
        (in_macro("visible_loads"), FACTS),
        (in_macro("get_incremental_merge_logged_sql"), ["fact_transactions"]),
        (in_seed, FACTS),
        (in_code("int_customer_cities", "max(", "min("), CITIES),
        (in_code("int_customers", "limit 1", "limit 2"), [name for name in CITIES if name != "int_customer_cities"]),
        (in_macro("settle_segments"), ["daily_segment_totals"]),
        (in_macro("build_loads"), FACTS),
    ],
)
def test_only_models_whose_rows_would_be_others_ask_for_new_ones(
    manifest: Manifest, change: Callable[[Manifest], None], asks: list[str]
) -> None:
    assert changed(manifest, change) == asks


def test_what_all_that_reads_the_log_is_made_of_asks_for_all_of_it(manifest: Manifest) -> None:
    found = set(changed(manifest, in_macro("contributions")))
    assert {"daily_revenue_totals", "dim_merchants", "customer_lifetime", "int_customers"} <= found
    assert "fact_transactions" not in found
    assert found >= set(changed(manifest, in_macro("get_incremental_apply_delta_sql")))


def test_every_model_with_rows_has_a_hash_and_no_view_has(manifest: Manifest) -> None:
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    stored = {node["name"] for node in models if node["config"]["materialized"] != "view"}
    assert set(model_hashes(manifest)) == stored
    assert {"fact_transactions", "dim_channels"} <= stored


@pytest.fixture
def copy(tmp_path: Path, project: Path) -> Path:
    """A copy of the dbt project to change."""
    place = tmp_path / "transformation"
    shutil.copytree(project, place, ignore=shutil.ignore_patterns("target", "logs", "tests", "transformation"))
    (place / "tests").mkdir()
    return place


@pytest.mark.parametrize(
    ("file", "old", "new", "is_due"),
    [
        ("models/marts/dim_channels.sql", "fee_percent\n", "fee_percent + 0 as fee_percent\n", True),
        ("macros/buckets.sql", "3600", "3601", True),
        ("seeds/payment_channels.csv", "1.8000", "1.9000", True),
        ("models/marts/dim_channels.yml", "numeric(7,4)", "numeric(7,5)", True),
        ("models/marts/dim_channels.sql", "select", "-- Said in other words.\nselect", False),
        ("models/marts/dim_channels.yml", "Grain:", "The grain:", False),
    ],
)
def test_a_build_is_due_when_what_marts_hold_may_change(
    copy: Path, file: str, old: str, new: str, is_due: bool
) -> None:
    hashed, digest = project_hash(copy), files_digest(copy)
    text = (copy / file).read_text(encoding="utf-8")
    assert old in text
    (copy / file).write_text(text.replace(old, new), encoding="utf-8")
    assert (project_hash(copy) != hashed) is is_due
    assert files_digest(copy) != digest
