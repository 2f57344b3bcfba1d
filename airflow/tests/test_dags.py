"""The DAG files: they import, keep the house's rules, and have exactly the structure that operators know."""

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from core.layout import CHECKOUT

AIRFLOW = CHECKOUT / "airflow"
DAG_FILES = sorted((AIRFLOW / "dags").glob("*.py"))
PIPELINE = "fintech_analytics_pipeline"
GROUPS = ["load_silver", "build_staging_and_intermediate", "build_marts", "verify"]
STEPS = {
    "load_silver.bronze_is_fresh",
    "load_silver.load",
    "load_silver.load_was_not_silent",
    "build_staging_and_intermediate.build",
    "verify.control_totals",
    "verify.dbt_tests",
    "verify.docs",
    "verify.publish",
    "verify.verdict",
}

BUILD = "build_staging_and_intermediate.build"
DAYS = {"from_date": "2026-03-01", "to_date": "2026-03-31"}
# Which form, what is in it, and its arguments or words of its refusal.
FORMS: list[tuple[str, dict[str, Any], list[str] | str]] = [
    ("build", {}, []),
    ("build", {"full_refresh": True}, ["--full-refresh"]),
    ("build", {"lookback_days": 0}, ["--lookback-days", "0"]),
    ("build", DAYS, ["--from", "2026-03-01", "--to", "2026-03-31"]),
    ("build", {"from_date": "2026-03-01"}, "a range needs both"),
    ("build", {"from_date": "2026-03-02", "to_date": "2026-03-01"}, "is after"),
    ("build", {"from_date": "yesterday", "to_date": "2026-03-01"}, "must be days"),
    ("build", DAYS | {"full_refresh": True}, "leave lookback_days, from_date and to_date empty"),
    ("build", DAYS | {"lookback_days": 3}, "give one of them"),
    ("backfill", DAYS, ["--from", "2026-03-01", "--to", "2026-03-31"]),
    ("backfill", {"offsets": "0:1200-1300,1:0-5"}, ["--offsets", "0:1200-1300,1:0-5"]),
    ("backfill", {}, "a backfill needs"),
    ("backfill", {"offsets": "0:1-2 --from x"}, "must be PARTITION:FROM-TO"),
    ("backfill", {"offsets": "--run-id=0:1-2"}, "must be PARTITION:FROM-TO"),
    ("backfill", {"offsets": "0:1-2\n"}, "must be PARTITION:FROM-TO"),
    ("backfill", {"offsets": "0:1-99999999999999999999"}, "must be PARTITION:FROM-TO"),
    ("backfill", DAYS | {"offsets": "0:1-2"}, "not both"),
]


@pytest.fixture(scope="session")
def seen(probe: Any) -> dict[str, Any]:
    """What Airflow sees with default settings, and what it says of forms and exit codes."""
    found: dict[str, Any] = probe(forms=[[which, form] for which, form, _ in FORMS], exits=[0, 75, -9, 1, 2])
    return found


@pytest.fixture(scope="session")
def pipeline(seen: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = seen["dags"][PIPELINE]
    return found


def test_every_dag_file_imports_without_errors(seen: dict[str, Any]) -> None:
    assert seen["errors"] == {}
    assert sorted(seen["dags"]) == ["backfill", "daily_batch", PIPELINE, "lake_maintenance"]


def test_reading_the_dag_files_loads_nothing_heavy(seen: dict[str, Any]) -> None:
    assert seen["dags"]
    assert seen["heavy"] == []


def test_the_pipeline_has_exactly_four_top_level_groups_and_no_task_beside_them(pipeline: dict[str, Any]) -> None:
    assert sorted(pipeline["groups"]) == sorted(GROUPS)
    assert pipeline["loose"] == []


def test_every_model_of_the_project_is_one_task_and_nothing_else_is(
    pipeline: dict[str, Any], manifest: dict[str, Any]
) -> None:
    models = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    assert len(models) >= 14
    tasks = {task["model"]: name for name, task in pipeline["tasks"].items() if task["model"]}
    groups = {"staging": GROUPS[1], "intermediate": GROUPS[1], "marts": GROUPS[2]}
    assert tasks == {key: f"{groups[node['fqn'][1]]}.{node['name']}" for key, node in models.items()}
    assert set(pipeline["tasks"]) - set(tasks.values()) == STEPS


def test_each_test_of_a_build_belongs_to_the_task_of_one_model(
    pipeline: dict[str, Any], manifest: dict[str, Any]
) -> None:
    wanted = [
        key
        for key, node in manifest["nodes"].items()
        if node["resource_type"] == "test"
        and "full" not in node["tags"]
        and any(parent.startswith("model.") for parent in node["depends_on"]["nodes"])
    ]
    shown = [test for task in pipeline["tasks"].values() for test in task["tests"] or ()]
    assert len(wanted) > 20
    assert sorted(shown) == sorted(wanted)


def test_models_wait_for_the_models_that_they_read(pipeline: dict[str, Any], manifest: dict[str, Any]) -> None:
    tasks = {task["model"]: (name, task) for name, task in pipeline["tasks"].items() if task["model"]}
    edges = 0
    for key, (_, task) in tasks.items():
        for parent in manifest["nodes"][key]["depends_on"]["nodes"]:
            if parent in tasks:
                assert tasks[parent][0] in task["upstream"]
                edges += 1
    assert edges > 10


def test_whatever_fails_leaves_a_red_leaf(pipeline: dict[str, Any]) -> None:
    """A run is as red as its leaves: every step but the last has something that waits for its success."""
    tasks = pipeline["tasks"]
    leaves = {name for name in tasks if not any(name in task["upstream"] for task in tasks.values())}
    assert leaves == {"verify.publish", "verify.verdict"}
    # A run without news skips what publishes: the other leaf waits for what runs all the same.
    assert set(tasks["verify.verdict"]["upstream"]) == {"load_silver.load", "verify.control_totals"}
    assert tasks["verify.verdict"]["trigger_rule"] == "none_failed"
    models = {name for name, task in tasks.items() if task["model"]}
    assert len(models) > 10
    assert {task["trigger_rule"] for task in tasks.values()}.isdisjoint({"all_done", "one_success", "always"})
    assert models | {BUILD} <= set(tasks["verify.control_totals"]["upstream"])


def test_a_load_that_failed_for_one_entity_stops_neither_build_nor_proof_and_publishes_nothing(
    pipeline: dict[str, Any],
) -> None:
    loaded = pipeline["tasks"]["load_silver.load_was_not_silent"]
    assert set(loaded["upstream"]) == {"load_silver.bronze_is_fresh", "load_silver.load"}
    assert loaded["trigger_rule"] == "all_done_min_one_success", "the check before it passed"
    assert "load_silver.load" not in pipeline["tasks"][BUILD]["upstream"]
    assert "load_silver.load" in pipeline["tasks"]["verify.publish"]["upstream"]
    assert pipeline["tasks"]["verify.publish"]["trigger_rule"] == "none_failed"


def test_a_run_without_news_publishes_nothing_and_still_proves(pipeline: dict[str, Any]) -> None:
    assert set(pipeline["tasks"][BUILD]["skips"]) == {"verify.dbt_tests", "verify.docs", "verify.publish"}
    assert pipeline["tasks"]["verify.control_totals"]["trigger_rule"] == "none_failed_min_one_success"


def test_outages_are_tried_again_later_each_time_and_somebody_is_told(seen: dict[str, Any]) -> None:
    checked = 0
    for dag in seen["dags"].values():
        for name, task in dag["tasks"].items():
            assert task["owner"] == "payments", name
            if task["model"]:
                assert (task["retries"], task["told"]) == (0, False), name
            else:
                assert task["retries"] >= 3, name
                assert task["backoff"], name
                assert task["told"], name
            checked += 1
    assert checked > 25


def test_dags_and_tasks_say_what_they_are(seen: dict[str, Any]) -> None:
    for dag in seen["dags"].values():
        assert len(dag["doc"]) > 200
        assert "payments" in dag["tags"]
        assert dag["catchup"] is False
        assert dag["max_active_runs"] == 1
        assert [name for name, task in dag["tasks"].items() if not task["doc"]] == []
    assert "http://127.0.0.1:8081/" in seen["dags"][PIPELINE]["doc"]


def test_the_form_says_that_dimensions_change_only_by_a_full_refresh(pipeline: dict[str, Any]) -> None:
    assert set(pipeline["params"]) == {"full_refresh", "lookback_days", "from_date", "to_date"}
    for name in ("lookback_days", "to_date"):
        assert "Dimensions change only by a full refresh" in pipeline["descriptions"][name]


def test_bronze_silver_and_gold_are_assets_of_the_steps_that_move_them(pipeline: dict[str, Any]) -> None:
    outlets = {name: task["outlets"] for name, task in pipeline["tasks"].items() if task["outlets"]}
    assert outlets == {
        "load_silver.bronze_is_fresh": ["bronze"],
        "load_silver.load": ["silver"],
        "verify.publish": ["gold"],
    }


def test_the_schedule_is_a_setting(seen: dict[str, Any], probe: Any) -> None:
    assert seen["dags"][PIPELINE]["schedule"] == "0 2 * * *"
    often = probe({"PIPELINE_SCHEDULE": "*/5 * * * *", "DOCS_PORT": "18081"})["dags"][PIPELINE]
    assert often["schedule"] == "*/5 * * * *"
    assert "http://127.0.0.1:18081/" in often["doc"]


def test_forms_become_arguments_or_are_refused_in_words(seen: dict[str, Any]) -> None:
    asked = [(form, wanted) for _, form, wanted in FORMS]
    for said, (form, wanted) in zip(seen["forms"], asked, strict=True):
        if isinstance(wanted, list):
            assert said == {"arguments": wanted}, form
        else:
            assert wanted in said["refused"], form
            assert "nothing was read or built" in said["refused"]


def test_the_form_of_a_backfill_takes_offsets_and_nothing_around_them(seen: dict[str, Any]) -> None:
    pattern = seen["dags"]["backfill"]["patterns"]["offsets"]
    assert re.search(pattern, "0:1200-1300,1:0-5")
    for text in ("x 0:1-2", "0:1-2 x", "0:1-2;0:3-4", "--json0:1-2", "0:1-2,"):
        assert re.search(pattern, text) is None, text


def test_an_outage_is_tried_again_and_a_data_error_is_not(seen: dict[str, Any]) -> None:
    assert [said.partition(":")[0] for said in seen["exits"]] == ["go on", "retry", "retry", "fail", "fail"]
    assert all("the last words" in said for said in seen["exits"][1:])


def test_dag_files_hold_no_logic() -> None:
    assert len(DAG_FILES) == 4
    logic = (ast.FunctionDef, ast.ClassDef, ast.If, ast.For, ast.While, ast.Try, ast.Lambda)
    for path in DAG_FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), path.name
        assert [node for node in ast.walk(tree) if isinstance(node, logic)] == [], path.name
        assert not path.name.startswith("dbt_"), path.name


def test_dag_files_and_their_package_import_nothing_heavy_at_the_top() -> None:
    allowed = {"airflow", "orchestration", "cosmos", "asgiref"}
    checked = 0
    for path in [*DAG_FILES, *_modules()]:
        for name in _imports(path):
            assert name in allowed or name in _standard_library(), f"{path.name} imports {name}"
            checked += 1
    assert checked > 40


def test_nothing_here_hides_the_package_airflow() -> None:
    assert list(AIRFLOW.glob("*/__init__.py")) + list(AIRFLOW.glob("__init__.py")) == []


def _modules() -> list[Path]:
    return sorted((AIRFLOW / "plugins").rglob("*.py"))


def _imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [name.name.partition(".")[0] for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.module or "").partition(".")[0])
    return found


def _standard_library() -> frozenset[str]:
    return sys.stdlib_module_names
