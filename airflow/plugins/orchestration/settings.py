"""Where things are and how they are set; read from the environment when asked, never at import."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
PROJECT = CHECKOUT / "transformation"
ENVIRONMENTS = CHECKOUT / ".tieout" / "env"
PLATFORM_PYTHON = ENVIRONMENTS / "platform" / "bin" / "python"
DBT = ENVIRONMENTS / "dbt" / "bin" / "dbt"
# Becomes the program after asking the kernel for a signal at the parent's death: a command does not outlive its task.
WAIT_EXEC = CHECKOUT / "control" / "control" / "wait_exec.py"

OWNER = "payments"


def home() -> Path:
    """Return the platform's home: TIEOUT_HOME, else the checkout."""
    return Path(os.environ.get("TIEOUT_HOME") or CHECKOUT)


def manifest() -> Path:
    """Return the manifest that ./scripts/start.sh has dbt write; the DAG's model tasks come out of it."""
    return home() / ".tieout" / "airflow" / "manifest.json"


def pipeline_schedule() -> str | None:
    """Return PIPELINE_SCHEDULE, a cron line; the word `off` is no schedule at all."""
    value = os.environ.get("PIPELINE_SCHEDULE") or "0 2 * * *"
    return None if value == "off" else value


def lineage_site() -> str:
    """Return the address of the dbt docs."""
    return f"http://127.0.0.1:{os.environ.get('DOCS_PORT') or '8081'}/"


def full_tests_every_hours() -> float:
    """Return after how many hours a built run reads the whole marts again in its tests."""
    return float(os.environ.get("FULL_TESTS_EVERY_HOURS") or 20)


def child_environment() -> dict[str, str]:
    """Return what a command may know: this process's environment without Airflow's own settings and secrets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))}
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "POSTGRES_PASSWORD_AIRFLOW"):
        kept.pop(name, None)
    return kept | {"TIEOUT_HOME": str(home()), "NO_COLOR": "1", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}
