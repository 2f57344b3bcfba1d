"""Follows one model of a build that another task runs, and ends the model's task: no worker is needed for it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.triggers.base import (
    BaseTrigger,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)
from asgiref.sync import sync_to_async

from orchestration.verdict import Verdict, judge

EVENTS = {"success": TaskSuccessEvent, "failed": TaskFailedEvent, "skipped": TaskSkippedEvent}

log = logging.getLogger(__name__)


class ModelTrigger(BaseTrigger):
    """Waits until the build has built a model and run its tests.

    Args:
        model: dbt's unique id of the model.
        tests: unique ids of its tests.
        producer: the task that builds.
        seconds: pause between two looks.
    """

    def __init__(self, model: str, tests: Sequence[str], producer: str, seconds: float = 1.0) -> None:
        super().__init__()
        self.model, self.tests, self.producer, self.seconds = model, list(tests), producer, seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes this trigger again after a restart."""
        given = {"model": self.model, "tests": self.tests, "producer": self.producer, "seconds": self.seconds}
        return ("orchestration.model_trigger.ModelTrigger", given)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is a verdict; end the task with it."""
        verdict = await self._look()
        while verdict is None:
            await asyncio.sleep(self.seconds)
            verdict = await self._look()
        log.log(logging.ERROR if verdict.state == "failed" else logging.INFO, verdict.words)
        yield EVENTS[verdict.state]()

    async def _look(self) -> Verdict | None:
        # The state first: what the build said before its task ended is complete then.
        state = await sync_to_async(self._producer_state)()
        nodes = await sync_to_async(self._nodes)()
        return judge(nodes, self.model, self.tests, state)

    def _producer_state(self) -> str | None:
        # Heavy, and a DAG file imports this module.
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance  # noqa: PLC0415

        of = self.task_instance
        states = RuntimeTaskInstance.get_task_states(dag_id=of.dag_id, task_ids=[self.producer], run_ids=[of.run_id])
        return states.get(of.run_id, {}).get(self.producer)

    def _nodes(self) -> dict[str, Any]:
        from airflow.sdk.execution_time.xcom import XCom  # noqa: PLC0415

        of = self.task_instance
        return XCom.get_one(dag_id=of.dag_id, run_id=of.run_id, task_id=self.producer, key="nodes") or {}
