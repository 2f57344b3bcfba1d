"""The steps beside dbt: each is one `tieout` command and what its answer means to the run."""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

from orchestration.assets import announce, bronze, gold, silver
from orchestration.commands import Running, run_tieout
from orchestration.parameters import backfill_arguments, build_arguments


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

    def run_command(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Run a command that ends when the task is ended."""

        def remember(running: Running) -> None:
            self._running = running

        return run_tieout(arguments, remember)

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


class BeginBuild(Tieout):
    """Open the run's build and take the lock; where nothing is new, skip everything that a build would need."""

    def __init__(self, *, skips: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.skips = list(skips)

    def execute(self, context: Any) -> Any:
        """Begin; the result is what every dbt invocation of the run gets.

        Raises:
            DownstreamTasksSkipped: the marts are what the loads say already.
        """
        build = self.run_command([*self.arguments, *build_arguments(context["params"])])
        context["ti"].xcom_push(key="build", value=build)
        if build.get("status") == "UNCHANGED":
            self.log.info("nothing new in silver: the marts stay as they are, and are proven again")
            raise DownstreamTasksSkipped(tasks=self.skips)
        return build.get("build_id")


class FinishBuild(Tieout):
    """Close the build and give the lock back, also after a failure."""

    def __init__(self, *, begin: str, dbt: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.begin, self.dbt = begin, dbt

    def execute(self, context: Any) -> Any:
        """Finish with what dbt's task left as its outcome."""
        instance = context["ti"]
        build = instance.xcom_pull(task_ids=self.begin, key="build") or {}
        if not build.get("build_id"):
            raise AirflowSkipException("no build was begun")
        outcome = instance.xcom_pull(task_ids=self.dbt, key="outcome") or {"failure": "dbt's task ended without a word"}
        arguments = ["build", "--finish", str(build["build_id"]), "--json"]
        if outcome.get("failure"):
            arguments += ["--failed", outcome["failure"][:2000]]
        return self.run_command(arguments)


class Publish(BaseOperator):
    """Tell the world that gold moved: proven, and by which build."""

    def __init__(self, *, begin: str, bronze_check: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.begin, self.bronze_check = begin, bronze_check

    def execute(self, context: Any) -> Any:
        """Emit the gold event."""
        instance = context["ti"]
        build = instance.xcom_pull(task_ids=self.begin, key="build") or {}
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
