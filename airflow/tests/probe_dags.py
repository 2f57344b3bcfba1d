"""Runs in Airflow's own environment, told what to answer on stdin: reads the DAG files and judges forms and exit codes.

{"forms": [["pipeline", {...}], ...], "exits": [75, 1, -9]} -> {"dags": ..., "errors": ..., "heavy": ..., ...}
"""

import json
import sys
from typing import Any

from airflow.configuration import conf
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from orchestration.commands import raise_for

from orchestration import parameters

# What no process that reads DAG files may load.
HEAVY = ("pyspark", "psycopg", "duckdb", "dbt", "pandas", "deltalake", "confluent_kafka", "kafka")


def describe(task: Any) -> dict[str, Any]:
    """Return what the tests ask of a task."""
    return {
        "type": type(task).__name__,
        "owner": task.owner,
        "retries": task.retries,
        "backoff": bool(task.retry_exponential_backoff),
        "trigger_rule": getattr(task.trigger_rule, "value", task.trigger_rule),
        "upstream": sorted(task.upstream_task_ids),
        "told": bool(task.on_failure_callback),
        "doc": task.doc_md,
        "model": getattr(task, "model", None),
        "tests": getattr(task, "tests", None),
        "outlets": [asset.name for asset in task.outlets],
        "skips": getattr(task, "skips", None),
    }


def read_dags() -> dict[str, Any]:
    """Read the DAG files as Airflow does."""
    bag = DagBag(conf.get("core", "dags_folder"))
    dags = {
        dag.dag_id: {
            "tasks": {task.task_id: describe(task) for task in dag.tasks},
            "groups": [key for key, child in dag.task_group.children.items() if not hasattr(child, "execute")],
            "loose": [key for key, child in dag.task_group.children.items() if hasattr(child, "execute")],
            "schedule": dag.schedule if isinstance(dag.schedule, str | None) else dag.schedule.expression,
            "catchup": dag.catchup,
            "max_active_runs": dag.max_active_runs,
            "params": dag.params.dump(),
            "descriptions": {name: param.description for name, param in dag.params.items()},
            "patterns": {name: param.schema.get("pattern") for name, param in dag.params.items()},
            "tags": sorted(dag.tags),
            "doc": dag.doc_md,
        }
        for dag in bag.dags.values()
    }
    return {"dags": dags, "errors": {str(k): str(v)[-2000:] for k, v in bag.import_errors.items()}}


def judge_form(which: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a form, or why it is refused."""
    try:
        return {"arguments": getattr(parameters, f"{which}_arguments")(params)}
    except AirflowFailException as refused:
        return {"refused": str(refused)}


def judge_exit(code: int) -> str:
    """Return how Airflow goes on after an exit code."""
    try:
        raise_for(code, "tieout load", "the last words")
    except AirflowFailException as error:
        return f"fail: {error}"
    except AirflowException as error:
        return f"retry: {error}"
    return "go on"


def main() -> None:
    """Answer once."""
    asked = json.load(sys.stdin)
    answer = read_dags()
    answer["heavy"] = sorted(name for name in HEAVY if name in sys.modules)
    answer["forms"] = [judge_form(which, params) for which, params in asked.get("forms", [])]
    answer["exits"] = [judge_exit(code) for code in asked.get("exits", [])]
    # What Airflow logs while it reads goes to stdout too: the answer is the last line.
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
