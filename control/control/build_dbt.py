"""dbt as a warm process: started once, asked as often as needed, gone with whoever started it."""

import atexit
import contextlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control.build_project import files_digest
from core import failpoints
from core.errors import TieoutError
from core.layout import Layout

WORKER = Path(__file__).with_name("dbt_worker.py")
# Leftovers of a killed build are found in the database by this name (transformation/profiles.yml).
APPLICATION = "tieout build"
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")


@dataclass(frozen=True)
class Outcome:
    """How a dbt command ended.

    Attributes:
        ok: whether every node did what it should.
        nodes: name, kind, status, seconds and message of each node.
        error: what went wrong outside of nodes, or None.
    """

    ok: bool
    nodes: tuple[dict[str, Any], ...]
    error: str | None

    def failures(self) -> list[str]:
        """Return what failed, a line or a few each; rows that a database error quotes are left out."""
        wrong = [node for node in self.nodes if node["status"] in ("error", "fail")]
        found = [f"{node['name']}: {without_rows(node['message'] or node['status'])}" for node in wrong]
        return found or [without_rows(self.error or "dbt ended without a word")]


def without_rows(message: str) -> str:
    """Return a database error's last lines without those that quote rows."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    kept = [
        line
        for line in lines
        if not line.startswith(("DETAIL:", "CONTEXT:", "> in macro", "> called by", "compiled code at"))
    ]
    return " ".join(kept[-4:])


class DbtWorker:
    """One dbt process of one platform."""

    def __init__(self, layout: Layout, environment: Mapping[str, str], connection: Mapping[str, str]) -> None:
        self._layout = layout
        self._environment = {name: environment[name] for name in PASSED_ON if name in environment}
        self._connection = {**connection, "DO_NOT_TRACK": "1"}
        self._process: subprocess.Popen[str] | None = None
        atexit.register(self.close)

    @property
    def log(self) -> Path:
        """Where dbt writes what it does."""
        return self._layout.logs / "dbt" / "dbt.log"

    def run(self, args: Sequence[str], build_id: str) -> Outcome:
        """Run a dbt command for a build.

        Raises:
            TieoutError: the dbt environment is missing, or the process was killed.
        """
        process = self._started()
        project = self._layout.checkout / "transformation"
        request = {
            "project": files_digest(project),
            "globals": ["--log-level", "none", "--log-level-file", "info", "--log-path", str(self.log.parent)],
            "args": list(args),
            "options": [
                *("--project-dir", str(project), "--profiles-dir", str(project)),
                *("--target-path", str(self._layout.state / "dbt")),
            ],
            "env": {**self._connection, "TIEOUT_BUILD_ID": build_id},
        }
        assert process.stdin is not None  # noqa: S101  # Popen was given a pipe
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                answer = json.loads(line)
                if answer["event"] == "done":
                    return Outcome(answer["ok"], tuple(answer["nodes"]), answer["error"])
                failpoints.reach("build.between-models")
        except BrokenPipeError:
            pass
        except BaseException:
            self.close()
            raise
        self.close()
        return Outcome(False, (), "dbt was killed")

    def kill(self) -> None:
        """End the process at once; safe from any thread."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process and forget it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        python = self._layout.environments / "dbt" / "bin" / "python"
        if not python.exists():
            raise TieoutError(
                f"the dbt environment is missing: there is no {python}.",
                "the marts are as they were.",
                "./scripts/setup.sh",
            )
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with (self.log.parent / "worker.log").open("a", encoding="utf-8") as stderr:
            self._process = subprocess.Popen(
                [str(python), "-u", str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=self._environment,
            )
        return self._process
