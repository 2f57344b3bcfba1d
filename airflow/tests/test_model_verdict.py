"""What a model's task makes of dbt's words: pure, so it needs no Airflow."""

import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest

from core.layout import CHECKOUT

MODEL, TEST = "model.tieout.fact_transactions", "test.tieout.unique_fact.0a1b2c"


@pytest.fixture(scope="module")
def verdict() -> ModuleType:
    """The module as a file: its package belongs to Airflow's environment."""
    path = CHECKOUT / "airflow" / "plugins" / "orchestration" / "verdict.py"
    spec = importlib.util.spec_from_file_location("orchestration_verdict", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("nodes", "producer", "wanted"),
    [
        ({}, "running", None),
        ({}, "up_for_retry", None),
        ({MODEL: "success"}, "running", None),
        ({MODEL: "success", TEST: "pass"}, "running", "success"),
        ({MODEL: "success", TEST: "warn"}, "running", "success"),
        ({MODEL: "success", TEST: "fail"}, "running", "failed"),
        ({MODEL: "success", TEST: "fail"}, "success", "failed"),
        ({MODEL: "success", TEST: "error"}, "failed", "failed"),
        ({MODEL: "error"}, "running", "failed"),
        ({MODEL: "skipped"}, "running", "failed"),
        ({MODEL: "success"}, "success", "success"),
        ({MODEL: "success"}, "failed", "failed"),
        ({}, "success", "failed"),
        ({}, "failed", "failed"),
        ({}, "upstream_failed", "failed"),
        ({}, "skipped", "skipped"),
    ],
)
def test_a_model_is_green_only_when_it_was_built_and_its_tests_passed(
    verdict: ModuleType, nodes: dict[str, str], producer: str, wanted: str | None
) -> None:
    said = verdict.judge({key: {"status": word} for key, word in nodes.items()}, MODEL, [TEST], producer)
    assert (said.state if said else None) == wanted


def _event(node: str, status: str, message: str, level: str = "info") -> dict[str, Any]:
    return {"info": {"msg": message, "level": level}, "data": {"node_info": {"unique_id": node, "node_status": status}}}


def test_a_reason_names_the_node_and_quotes_no_row(verdict: ModuleType) -> None:
    book = verdict.Book()
    quoted = (
        'Database Error in model fact_transactions\n  null value in column "x"\n  DETAIL: Failing row contains (Jane).'
    )
    assert book.note(_event(MODEL, "error", "1 of 2 ERROR"))
    assert not book.note(_event(MODEL, "error", quoted, "error"))
    assert book.failures() == ['fact_transactions: Database Error in model fact_transactions null value in column "x"']
    assert not book.is_outage()


@pytest.mark.parametrize(
    "words",
    [
        'connection to server at "127.0.0.1", port 5432 failed: Connection refused',
        "server closed the connection unexpectedly",
        "terminating connection due to administrator command",
        "FATAL: the database system is starting up",
    ],
)
def test_a_database_that_is_away_is_an_outage_and_a_failing_test_is_none(verdict: ModuleType, words: str) -> None:
    book = verdict.Book()
    book.note(_event(TEST, "fail", "Got 3 results, configured to fail if != 0", "error"))
    assert not book.is_outage()
    book.note({"info": {"msg": words, "level": "error"}, "data": {}})
    assert book.is_outage()
