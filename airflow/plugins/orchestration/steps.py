"""The steps of a run: each is one `tieout` command and what its answer means to the run."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

from orchestration.assets import announce, bronze, gold, silver
from orchestration.commands import Running, run_tieout
from orchestration.parameters import backfill_arguments, build_arguments
from orchestration.settings import full_tests_every_hours, home
from orchestration.verdict import BAD

TOLD_EVERY_SECONDS = 0.5


class Tieout(BaseOperator):
    """Run a `tieout` command; its JSON is the task's result."""

    template_fields: Sequence[str] = ("arguments",)
    ui_color = "#e8f0fe"

    def __init__(self, *, arguments: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arguments = list(arguments)
        self._running: Running | None = None

    def execute(self, context: Any) -> Any:
        """Run the command."""
        del context
        return self.run_command(self.arguments)

    def run_command(
        self, arguments: Sequence[str], heard: Callable[[dict[str, Any]], None] = lambda _: None
    ) -> dict[str, Any]:
        """Run a command that ends when the task is ended."""

        def remember(running: Running) -> None:
            self._running = running

        return run_tieout(arguments, remember, heard)

    def on_kill(self) -> None:
        """End the command with the task."""
        if self._running is not None:
            self._running.end()


class CheckBronze(Tieout):
    """Refuse a wrong form, then ask whether bronze is there and fresh."""

    def execute(self, context: Any) -> Any:
        """Check; the bronze event says how new it is."""
        build_arguments(context["params"])
        found = self.run_command(self.arguments)
        changed = bool(found.get("rows_waiting"))
        announce(
            context,
            bronze,
            changed,
            rows_waiting=found.get("rows_waiting"),
            newest_arrival=found.get("newest_arrival"),
            age_seconds=found.get("age_seconds"),
        )
        return found


class Load(Tieout):
    """Load bronze into silver."""

    def execute(self, context: Any) -> Any:
        """Load; the silver event names the loads."""
        done = self.run_command(self.arguments)
        loads = done.get("loads", [])
        rows = sum(load.get("rows_loaded", 0) for load in loads)
        announce(
            context,
            silver,
            bool(loads),
            load_ids=[load["load_id"] for load in loads],
            rows=rows,
            run_id=context["run_id"],
        )
        return done


class Build(Tieout):
    """Build the marts, and tell how each model and test ended while it runs: the models' tasks follow that.

    Where nothing is new, what a build would need afterwards is skipped.
    """

    ui_color = "#fde9dc"

    def __init__(self, *, skips: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.skips = list(skips)

    def execute(self, context: Any) -> Any:
        """Build; the result is the build's report.

        Raises:
            DownstreamTasksSkipped: the marts are what the loads say already.
        """
        nodes: dict[str, Any] = {}
        told = 0.0

        def hear(line: dict[str, Any]) -> None:
            nonlocal told
            if line.get("event") != "node":
                return
            nodes[line["node"]] = {"status": line["status"], "seconds": line["seconds"]}
            if line["status"] in BAD:
                self.log.error("%s: %s", line["name"], line["status"])
            if time.monotonic() - told >= TOLD_EVERY_SECONDS:
                told = time.monotonic()
                context["ti"].xcom_push(key="nodes", value=nodes)

        try:
            done = self.run_command([*self.arguments, *build_arguments(context["params"])], hear)
        finally:
            context["ti"].xcom_push(key="nodes", value=nodes)
        if done.get("status") == "UNCHANGED":
            self.log.info("nothing new in silver: the marts stay as they are, and are proven again")
            raise DownstreamTasksSkipped(tasks=self.skips)
        return done


class WholeTests(Tieout):
    """Run the tests that read the marts as a whole: after a full refresh or a range, and otherwise once in a while."""

    def __init__(self, *, build: str | None = None, **kwargs: Any) -> None:
        super().__init__(arguments=["check", "marts", "--json"], **kwargs)
        self.build = build

    def execute(self, context: Any) -> Any:
        """Test, or say when it was done last.

        Raises:
            AirflowSkipException: they passed not long ago.
        """
        build = context["ti"].xcom_pull(task_ids=self.build) if self.build else None
        asked = build is None or build.get("full_refresh") or context["params"].get("from_date")
        mark = home() / ".tieout" / "airflow" / "full-tests-passed"
        age = (time.time() - mark.stat().st_mtime) / 3600 if mark.exists() else None
        if not asked and age is not None and age < full_tests_every_hours():
            raise AirflowSkipException(f"the tests over whole marts passed {age:.1f} h ago (FULL_TESTS_EVERY_HOURS)")
        done = self.run_command(self.arguments)
        mark.touch()
        return done


class Publish(BaseOperator):
    """Tell the world that gold moved: proven, and by which build."""

    def __init__(self, *, build: str, bronze_check: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.build, self.bronze_check = build, bronze_check

    def execute(self, context: Any) -> Any:
        """Emit the gold event."""
        instance = context["ti"]
        build = instance.xcom_pull(task_ids=self.build) or {}
        seen = instance.xcom_pull(task_ids=self.bronze_check) or {}
        announce(
            context,
            gold,
            True,
            build_id=build.get("build_id"),
            loads=build.get("loads"),
            full_refresh=build.get("full_refresh"),
            newest_arrival=seen.get("newest_arrival"),
            run_id=context["run_id"],
        )
        return build.get("build_id")


class Verdict(BaseOperator):
    """End the run as red as what it waits for."""

    def execute(self, context: Any) -> str:
        """Say that nothing failed: otherwise the task would not run."""
        del context
        return "nothing failed"


class PublishBatch(BaseOperator):
    """Tell the world that a batch moved gold: proven, and by which build."""

    def __init__(self, *, build: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.build = build

    def execute(self, context: Any) -> Any:
        """Emit the gold event, where there was something to build."""
        done = context["ti"].xcom_pull(task_ids=self.build) or {}
        build = done.get("build_id")
        announce(context, gold, bool(build), build_id=build, loads=done.get("loads"), run_id=context["run_id"])
        return build


class Backfill(Tieout):
    """Read a range again; a line a day in the log, and what is done is never done twice."""

    def execute(self, context: Any) -> Any:
        """Run the backfill that the form asks for."""
        return self.run_command([*self.arguments, *backfill_arguments(context["params"])])


class PublishBackfill(BaseOperator):
    """Tell the world that a backfill moved gold: proven, and by which build."""

    def __init__(self, *, backfill: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backfill = backfill

    def execute(self, context: Any) -> Any:
        """Emit the gold event, where there was something to build."""
        done = context["ti"].xcom_pull(task_ids=self.backfill) or {}
        build = (done.get("build") or {}).get("build_id")
        announce(context, gold, bool(build), backfill=done.get("backfill_id"), build_id=build, run_id=context["run_id"])
        return build
