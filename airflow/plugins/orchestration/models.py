"""The dbt project as tasks: astronomer-cosmos reads the manifest, each model becomes one task that follows the build.

Why not one dbt process a model (Cosmos LOCAL), nor Cosmos's own WATCHER: docs/decisions/0013-one-dbt-run.md.
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, TaskGroup
from airflow.triggers.base import StartTriggerArgs
from cosmos.airflow.task_group import DbtTaskGroup
from cosmos.config import ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import (
    DbtResourceType,
    ExecutionMode,
    InvocationMode,
    LoadMode,
    SeedRenderingBehavior,
    TestBehavior,
)

from orchestration.model_trigger import ModelTrigger
from orchestration.settings import DBT, PROJECT, manifest


class DbtModel(BaseOperator):
    """A model of the project: green when dbt built it and its tests passed. It starts and ends in the triggerer."""

    start_from_trigger = True
    ui_color = "#e6f4ea"

    def __init__(self, *, model: str, tests: Iterable[str], producer: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model, self.tests, self.producer = model, list(tests), producer
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="orchestration.model_trigger.ModelTrigger",
            trigger_kwargs={"model": model, "tests": self.tests, "producer": producer},
            next_method="execute_complete",
        )

    def execute(self, context: Any) -> Any:
        """Go to the triggerer, where a worker was asked all the same (`airflow tasks test`)."""
        del context
        self.defer(
            trigger=ModelTrigger(self.model, self.tests, self.producer),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """Never reached: the trigger ends the task itself."""


def model_group(group_id: str, folders: Iterable[str], producer: str, **arguments: Any) -> DbtTaskGroup:
    """Return a TaskGroup with a task for each model of some folders, in the order of the project.

    Args:
        group_id: the group's name.
        folders: folders below models/.
        producer: the id of the task that builds.
        **arguments: given to every task.
    """
    project = read_manifest(manifest())

    def convert(task_id: str, task_group: TaskGroup, node: Any, **_: Any) -> BaseOperator:
        del task_id
        return DbtModel(
            task_id=node.name,
            task_group=task_group,
            model=node.unique_id,
            tests=project.tests.get(node.unique_id, ()),
            producer=producer,
            doc_md=project.words(node.unique_id),
            retries=0,
            on_failure_callback=None,
            **arguments,
        )

    return DbtTaskGroup(
        group_id=group_id,
        project_config=ProjectConfig(
            dbt_project_path=PROJECT, manifest_path=manifest(), project_name="tieout", install_dbt_deps=False
        ),
        profile_config=ProfileConfig(
            profile_name="tieout", target_name="warehouse", profiles_yml_filepath=PROJECT / "profiles.yml"
        ),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.LOCAL, invocation_mode=InvocationMode.SUBPROCESS, dbt_executable_path=DBT
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            select=[f"path:models/{folder}" for folder in folders],
            test_behavior=TestBehavior.AFTER_EACH,
            seed_rendering_behavior=SeedRenderingBehavior.NONE,
            emit_datasets=False,
            node_converters={DbtResourceType.MODEL: convert},
        ),
        operator_args={"install_deps": False},
    )


def connect(*groups: DbtTaskGroup) -> dict[str, BaseOperator]:
    """Draw the edges between models of different groups; Cosmos draws those within one. Return every model's task."""
    tasks = {unique_id: task for group in groups for unique_id, task in group.tasks_map.items()}
    for unique_id, parents in read_manifest(manifest()).parents.items():
        for parent in parents:
            if parent in tasks and tasks[parent].task_group is not tasks[unique_id].task_group:
                tasks[parent] >> tasks[unique_id]
    return tasks


class Project:
    """What the DAG takes from a manifest beyond what Cosmos does."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self.nodes: dict[str, Any] = manifest["nodes"]
        self.parents = {
            key: [parent for parent in node["depends_on"]["nodes"] if parent.startswith("model.")]
            for key, node in self.nodes.items()
            if node["resource_type"] == "model"
        }
        self.tests: dict[str, list[str]] = {}
        for key, node in self.nodes.items():
            if node["resource_type"] == "test" and "full" not in node["config"].get("tags", []):
                model = self._last_of(node["depends_on"]["nodes"])
                if model:
                    self.tests.setdefault(model, []).append(key)

    def _last_of(self, parents: Iterable[str]) -> str | None:
        """Return the model that is built last: a test of several models can only run behind that one."""
        models = [parent for parent in parents if parent in self.parents]
        return max(models, key=self._depth, default=None)

    def _depth(self, model: str) -> int:
        return 1 + max((self._depth(parent) for parent in self.parents[model]), default=0)

    def words(self, model: str) -> str:
        """Return a model's description and the names of its tests."""
        node, tests = self.nodes[model], self.tests.get(model, [])
        listed = "\n".join(f"- `{self.nodes[test]['name']}`" for test in sorted(tests))
        return f"{node['description']}\n\n`{node['original_file_path']}`\n\n" + (
            listed or "Its tests read whole marts."
        )


@lru_cache(maxsize=1)
def _read(path: Path, changed: int) -> Project:
    del changed
    return Project(json.loads(path.read_text(encoding="utf-8")))


def read_manifest(path: Path) -> Project:
    """Return the project of a manifest; read again when the file changed."""
    return _read(path, path.stat().st_mtime_ns)
