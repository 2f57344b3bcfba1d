"""dbt as a warm process: started once, asked as often as needed, gone with whoever started it."""

import atexit
import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core import failpoints
from core.errors import TieoutError
from core.layout import Layout
from transformation.hashes import files_digest
from transformation.messages import Node, Outcome

WORKER = Path(__file__).with_name("dbt_worker.py")
# Leftovers of a killed build are found in the database by this name (transformation/profiles.yml).
APPLICATION = "tieout build"
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")


def folders(layout: Layout, target: Path, log: Path) -> list[str]:
    """Return the options that tell dbt where the project is, and where it may write."""
    project = str(layout.checkout / "transformation")
    places = {"--project-dir": project, "--profiles-dir": project, "--target-path": str(target), "--log-path": str(log)}
    return [word for place in places.items() for word in place]


def dbt_program(layout: Layout) -> str:
    """Return the path of dbt's own command, for what needs no warm process."""
    return str(layout.environments / "dbt" / "bin" / "dbt")


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment dbt may know."""
    return {name: environ[name] for name in PASSED_ON if name in environ}


class DbtProcess:
    """One dbt process of one platform.

    Args:
        layout: the platform.
        connection: what dbt's profile wants to know of the database.
    """

    def __init__(self, layout: Layout, connection: Mapping[str, str]) -> None:
        self._layout = layout
        self._connection = dict(connection)
        self._process: subprocess.Popen[str] | None = None
        atexit.register(self.close)

    @property
    def log(self) -> Path:
        """Where dbt writes what it does."""
        return self._layout.logs / "dbt" / "dbt.log"

    def read_manifest(self) -> dict[str, Any]:
        """Parse the project, where it changed, and return its manifest.

        Raises:
            TieoutError: it does not parse.
        """
        parsed = self.run([])
        if not parsed.ok:
            raise TieoutError(
                f"the dbt project does not parse: {parsed.failures()[0]}",
                "the marts are as they were.",
                "mend the file that it names, then ./scripts/tieout build",
            )
        manifest: dict[str, Any] = json.loads((self._target / "manifest.json").read_text(encoding="utf-8"))
        return manifest

    def run(
        self,
        args: Sequence[str],
        more: Mapping[str, str] | None = None,
        on_node: Callable[[Node], None] = lambda _: None,
    ) -> Outcome:
        """Run a dbt command.

        Args:
            args: its words; none only parses the project.
            more: what it has to have in its environment, as well as the connection.
            on_node: called with each node as it ends.

        Raises:
            TieoutError: the dbt environment is missing.
        """
        process = self._started()
        project = files_digest(self._layout.checkout / "transformation")
        self._forget_another_parse(project)
        request = {
            "project": project,
            "globals": ["--log-level", "none", "--log-level-file", "info"],
            "args": list(args),
            "options": folders(self._layout, self._target, self.log.parent),
            "env": {**self._connection, "TIEOUT_BUILD_ID": "", "TIEOUT_GIVES_WAY": "", **(more or {})},
        }
        assert process.stdin is not None  # noqa: S101  # Popen was given a pipe
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                answer = json.loads(line)
                if answer["event"] == "done":
                    self._parsed.write_text(project, encoding="utf-8")
                    return Outcome(answer["ok"], tuple(answer["nodes"]), answer["error"])
                on_node(answer)
                failpoints.reach("build.between-models")
        except BrokenPipeError:
            pass
        except BaseException:
            self.close()
            raise
        self.close()
        return Outcome(False, (), "dbt was killed")

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

    @property
    def _target(self) -> Path:
        return self._layout.state / "dbt"

    @property
    def _parsed(self) -> Path:
        return self._target / "parsed.digest"

    def _forget_another_parse(self, project: str) -> None:
        """Let dbt go on from what it parsed before only where no file has changed since.

        It goes by times: of a model and its YAML that both came back with their former ones, it takes one as it was and
        one as it is (dbt 1.11.16).
        """
        if not self._parsed.exists() or self._parsed.read_text(encoding="utf-8") != project:
            self._parsed.unlink(missing_ok=True)
            (self._target / "partial_parse.msgpack").unlink(missing_ok=True)

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
                [str(python), "-uP", str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=environment(os.environ),
            )
        return self._process
