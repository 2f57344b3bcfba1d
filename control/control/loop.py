"""Which loop takes payments from the lake to the marts, and how Airflow is brought up to be it."""

import json
import time
from collections.abc import Mapping

from control import airflow, supervision
from control.accounts import own_file
from control.airflow_preparation import Preparation
from control.airflow_rest import Rest
from control.processes import Platform
from control.progress import say, step
from core.errors import OutageError, TieoutError
from core.layout import Layout

# Our DAGs, and whether they run by themselves in a platform that repeats nothing: one without a schedule does no harm.
PIPELINE = "fintech_analytics_pipeline"
DAGS = {PIPELINE: False, "lake_maintenance": False, "backfill": True}

SET = "loop.json"


def prepare_loop(platform: Platform) -> Preparation:
    """Write Airflow's files, show its passwords when they are new, and begin with its database and dbt's manifest."""
    layout, settings = platform.layout, platform.settings
    if airflow.prepare_airflow(layout, platform.accounts, settings):
        users = ", ".join(f"{user} {settings[name]}" for user, name in airflow.USERS.items())
        say(f"  airflow's passwords, shown this once: {users}")
        say(f"  they are kept in {airflow.passwords_file(layout)}, which only its owner can read")
    return Preparation(platform)


def wait_for_airflow(platform: Platform, seconds: float = 600) -> None:
    """Return when the API server answers and every part of Airflow calls itself healthy.

    Raises:
        TieoutError: not within the time; the services go on.
    """
    deadline, rest, last = time.monotonic() + seconds, Rest(platform.settings), "no answer"
    with step(f"airflow on {airflow.url(platform.settings)}"):
        while True:
            try:
                health = rest.health()
                ill = [name for name, status in health.items() if status != "healthy"]
                if not ill:
                    return
                last = f"not healthy: {', '.join(ill)}"
            except OutageError as error:
                last = error.what
            fatal = [name for name in airflow.NAMES if _state(platform.layout, name) == "FATAL"]
            if fatal or time.monotonic() > deadline:
                raise TieoutError(
                    f"airflow is not ready after {seconds:.0f} s: {last}",
                    "the services that were started still run.",
                    f"./scripts/tieout logs {(fatal or airflow.NAMES)[0]}, or ./scripts/tieout doctor",
                )
            time.sleep(0.5)


def _state(layout: Layout, name: str) -> str | None:
    state = supervision.process_states(layout).get(name, {}).get("statename")
    return None if state is None else str(state)


def unpause_dags(platform: Platform, *, demo: bool) -> None:
    """Set which DAGs run by themselves, where that is another choice than the last start's: what people set stays.

    Args:
        demo: False: nothing repeats by itself, and only what is triggered by hand may run.
    """
    kept = platform.layout.state / SET
    before: Mapping[str, bool] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    wanted = {name: demo or always for name, always in DAGS.items() if _has_a_file(platform.layout, name)}
    rest, changed = Rest(platform.settings), dict(before)
    for name, runs in wanted.items():
        if before.get(name) == runs:
            continue
        if not _is_known(rest, name):
            say(f"  airflow has not read the DAG {name}; it stays paused. Next: ./scripts/tieout doctor")
            continue
        rest.pause(name, not runs)
        changed[name] = runs
    if changed != before:
        own_file(kept, json.dumps(changed), None)


def _has_a_file(layout: Layout, name: str) -> bool:
    files = (layout.checkout / "airflow" / "dags").glob("*.py")
    return any(name in file.read_text(encoding="utf-8") for file in files)


def _is_known(rest: Rest, name: str, seconds: float = 90) -> bool:
    """Say whether Airflow has read a DAG; a new one appears once its file was parsed."""
    deadline = time.monotonic() + seconds
    while rest.dag(name) is None:
        if time.monotonic() > deadline or rest.import_errors():
            return False
        time.sleep(0.5)
    return True
