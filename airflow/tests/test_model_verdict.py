"""What a model's task makes of the build's words: pure, so it needs no Airflow."""

import importlib.util
import sys
from types import ModuleType

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
        ({MODEL: "success", TEST: "fail"}, "running", None),
        ({MODEL: "success", TEST: "fail"}, "failed", "failed"),
        ({MODEL: "success", TEST: "error"}, "failed", "failed"),
        ({MODEL: "error"}, "up_for_retry", None),
        ({MODEL: "error"}, "failed", "failed"),
        ({MODEL: "skipped"}, "failed", "failed"),
        ({MODEL: "success"}, "success", "success"),
        ({MODEL: "success"}, "failed", "failed"),
        ({}, "success", "skipped"),
        ({"model.tieout.another": "success"}, "success", "failed"),
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
