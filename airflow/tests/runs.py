"""Runs of a DAG on a real platform, asked for and watched over Airflow's REST API as an operator's program does."""

import json
import time
import urllib.error
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from control.airflow_rest import Rest
from core.errors import OutageError

PIPELINE = "fintech_analytics_pipeline"
OVER = ("success", "failed")


class Runs:
    """One DAG's runs."""

    def __init__(self, settings: dict[str, str], dag: str = PIPELINE) -> None:
        self.rest, self.dag = Rest(settings), dag
        wait_for(lambda: self.rest.dag(dag), f"Airflow to read {dag}")
        self.rest.pause(dag, False)

    def trigger(self, **form: Any) -> str:
        """Trigger a run; return its id."""
        answer = self.rest.call("POST", f"/api/v2/dags/{self.dag}/dagRuns", {"logical_date": None, "conf": form})
        return str(answer["dag_run_id"])

    def refused(self, **form: Any) -> tuple[int, str]:
        """Trigger a run that is refused at once; return the answer's code and words."""
        try:
            self.trigger(**form)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        raise AssertionError(f"{form} was taken")

    def wait(self, run: str, seconds: float = 900) -> str:
        """Wait for a run's end; return success or failed."""

        def look() -> str | None:
            try:
                state = self.state(run)
            except (OutageError, urllib.error.HTTPError):
                return None  # busy, or on its way up again
            return state if state in OVER else None

        found: str = wait_for(look, f"the end of {run}", seconds)
        return found

    def state(self, run: str) -> str:
        """Return a run's state."""
        return str(self.rest.call("GET", f"/api/v2/dags/{self.dag}/dagRuns/{quote(run, safe='')}")["state"])

    def tasks(self, run: str) -> dict[str, str]:
        """Return each task's state."""
        path = f"/api/v2/dags/{self.dag}/dagRuns/{quote(run, safe='')}/taskInstances?limit=100"
        return {str(task["task_id"]): str(task["state"]) for task in self.rest.call("GET", path)["task_instances"]}

    def reasons(self, run: str) -> dict[str, str]:
        """Return the end of the log of each task that failed."""
        return {task: self.log(run, task)[-1500:] for task, state in self.tasks(run).items() if state == "failed"}

    def clear(self, run: str, **what: Any) -> None:
        """Clear tasks of a run, as the button does."""
        body = {"dag_run_id": run, "dry_run": False, **what}
        self.rest.call("POST", f"/api/v2/dags/{self.dag}/clearTaskInstances", body)

    def log(self, run: str, task: str, attempt: int = 1) -> str:
        """Return the words of a task's log."""
        path = f"/api/v2/dags/{self.dag}/dagRuns/{quote(run, safe='')}/taskInstances/{task}/logs/{attempt}"
        return "\n".join(_words(line) for line in self.rest.call("GET", path)["content"])


def _words(line: Any) -> str:
    if not isinstance(line, dict):
        return str(line)
    detail = line.get("error_detail")
    return f"{line.get('event')}{' ' + json.dumps(detail) if detail else ''}"


def wait_for(look: Callable[[], Any], what: str, seconds: float = 300) -> Any:
    """Look until something is found; return it."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.5)
    return found
