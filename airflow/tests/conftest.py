"""The DAG files as Airflow's own environment reads them: its packages are not those of the tests."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.layout import CHECKOUT

ENVIRONMENTS = CHECKOUT / ".tieout" / "env"
PROJECT = CHECKOUT / "transformation"

Probe = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def dag_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with nothing in it but dbt's manifest of the project."""
    home = tmp_path_factory.mktemp("dag-home")
    target = home / ".tieout" / "airflow"
    target.mkdir(parents=True)
    subprocess.run(
        [
            *(str(ENVIRONMENTS / "dbt" / "bin" / "dbt"), "--quiet", "--log-path", str(home / "logs"), "parse"),
            *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(target)),
        ],
        check=True,
        capture_output=True,
        timeout=300,
    )
    return home


@pytest.fixture(scope="session")
def manifest(dag_home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((dag_home / ".tieout" / "airflow" / "manifest.json").read_text())
    assert found["nodes"]
    return found


@pytest.fixture(scope="session")
def probe(dag_home: Path) -> Probe:
    """Ask probe_dags.py: keywords are what it is asked, `environment` is added to its own."""

    def ask(environment: dict[str, str] | None = None, **asked: Any) -> dict[str, Any]:
        result = subprocess.run(
            [str(ENVIRONMENTS / "airflow" / "bin" / "python"), str(Path(__file__).with_name("probe_dags.py"))],
            input=json.dumps(asked),
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(dag_home),
                "TIEOUT_HOME": str(dag_home),
                "AIRFLOW_HOME": str(dag_home / "airflow"),
                "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "airflow" / "dags"),
                "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "airflow" / "plugins"),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
                "PYTHONPATH": str(CHECKOUT / "airflow" / "plugins"),
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            | (environment or {}),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert result.returncode == 0, result.stderr[-4000:]
        answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
        return answer

    return ask
