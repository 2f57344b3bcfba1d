"""The one task that runs dbt; the models' tasks follow what it says."""

import json
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from orchestration.commands import Running
from orchestration.settings import DBT_SESSIONS, PROJECT, child_environment, full_tests_every_hours, home
from orchestration.verdict import Book, without_rows

# Full tests read everything; a build's own read what it changed. Unit tests need no build at all.
NOT_IN_A_BUILD = ("resource_type:unit_test", "tag:full")
# What a killed build left in the database is found by this name (control/control/build_dbt.py).
APPLICATION = "tieout build"
TOLD_EVERY_SECONDS = 0.5
QUIET = ("debug",)


class Dbt(BaseOperator):
    """Run one dbt command for the run's build and tell how its nodes end, while it runs."""

    ui_color = "#fde9dc"

    def __init__(self, *, begin: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.begin = begin
        self._running: Running | None = None

    def execute(self, context: Any) -> Any:
        """Build all models and run their tests.

        Raises:
            AirflowException: the database was away; the next try goes on with the same build.
            AirflowFailException: a model or a test failed; trying again would not help.
        """
        build = context["ti"].xcom_pull(task_ids=self.begin, key="build")
        full = bool(build.get("full_refresh"))
        arguments = ["build", "--exclude", *NOT_IN_A_BUILD, *([] if full else ["resource_type:seed"])]
        arguments += ["--full-refresh"] if full else []
        if build.get("vars"):
            arguments += ["--vars", json.dumps(build["vars"])]
        return self.run_dbt(context, arguments, build)

    def run_dbt(self, context: Any, arguments: Sequence[str], build: Mapping[str, Any]) -> dict[str, Any]:
        """Run dbt to its end; return how many nodes of each kind were good."""
        instance, book = context["ti"], Book()
        self._running = Running(_command(arguments), _environment(build), dies_by="SIGINT")
        for _ in _events(self._running, book, self.log):
            instance.xcom_push(key="nodes", value=book.nodes)
        code = self._running.wait()
        instance.xcom_push(key="nodes", value=book.nodes)
        if code == 0:
            instance.xcom_push(key="outcome", value={"failure": None})
            return _counts(book)
        failures = book.failures() or book.outside[-3:] or list(self._running.words)[-3:]
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        reason = f"{failures[0]}{more}" if failures else f"dbt ended with exit code {code} and without a word"
        instance.xcom_push(key="outcome", value={"failure": reason})
        if code < 0 or book.is_outage():
            raise AirflowException(f"dbt met an outage; the task is tried again.\n{reason}")
        raise AirflowFailException(f"dbt failed; trying again would not help.\n{reason}")

    def on_kill(self) -> None:
        """End dbt with the task."""
        if self._running is not None:
            self._running.end()


class FullTests(Dbt):
    """Run the tests that read the marts as a whole: after a full refresh or a range, and otherwise once in a while."""

    def execute(self, context: Any) -> Any:
        """Test, or say when it was done last.

        Raises:
            AirflowSkipException: they passed not long ago.
        """
        build = context["ti"].xcom_pull(task_ids=self.begin, key="build") if self.begin else {}
        asked = bool(build.get("full_refresh") or context["params"].get("from_date")) or not self.begin
        mark = home() / ".tieout" / "airflow" / "full-tests-passed"
        age = (time.time() - mark.stat().st_mtime) / 3600 if mark.exists() else None
        if not asked and age is not None and age < full_tests_every_hours():
            raise AirflowSkipException(f"the tests over whole marts passed {age:.1f} h ago (FULL_TESTS_EVERY_HOURS)")
        # The build is closed: these tests belong to no build any more.
        done = self.run_dbt(context, ["test", "--select", "tag:full"], {})
        mark.touch()
        return done


def _command(arguments: Sequence[str]) -> list[str]:
    logs = home() / ".tieout" / "logs" / "dbt"
    return [
        *(*DBT_SESSIONS, "--log-format", "json", "--log-level", "info", "--log-path", str(logs), *arguments),
        *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(home() / ".tieout/dbt")),
    ]


def _environment(build: Mapping[str, Any]) -> dict[str, str]:
    kept = {
        name: value
        for name, value in child_environment().items()
        if not name.startswith(("KAFKA", "POSTGRES_PASSWORD")) or name == "POSTGRES_PASSWORD_DBT"
    }
    said = {name: str(value) for name, value in (build.get("env") or {}).items()}
    if not build.get("build_id"):
        return kept | {"TIEOUT_APPLICATION": "tieout tests"}
    return kept | {"TIEOUT_APPLICATION": APPLICATION, "TIEOUT_BUILD_ID": str(build["build_id"])} | said


def _events(running: Running, book: Book, log: Any) -> Any:
    """Read dbt's events to the end; yield now and then when nodes have ended since."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert running.process.stdout is not None  # noqa: S101  # Popen was given a pipe
        for line in running.process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    told, news = 0.0, False
    while True:
        try:
            line = lines.get(timeout=TOLD_EVERY_SECONDS)
        except queue.Empty:
            line = ""
        if line is None:
            return
        news = _take(line, book, log) or news
        if news and time.monotonic() - told >= TOLD_EVERY_SECONDS:
            told, news = time.monotonic(), False
            yield None


def _take(line: str, book: Book, log: Any) -> bool:
    if not line.strip():
        return False
    try:
        event = json.loads(line)
    except ValueError:
        return False
    info = event.get("info") or {}
    words = without_rows(str(info.get("msg") or ""))
    if words and info.get("level") not in QUIET:
        (log.error if info.get("level") == "error" else log.info)(words)
    return book.note(event)


def _counts(book: Book) -> dict[str, Any]:
    kinds = [unique_id.split(".", 1)[0] for unique_id in book.nodes]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}
