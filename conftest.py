"""Fixtures that every folder's tests share: broker and database, and a whole platform."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest
from xdist.scheduler import LoadScopeScheduling

from control import orphans
from control.ports import LISTENING
from control.store import Store, running_store
from control.testing import Handle, free_ports, free_store, temporary_home, temporary_platform
from core.layout import CHECKOUT, find_layout
from drill.books import ask

# Other work on the machine is no fault of an example.
hypothesis.settings.register_profile("tieout", deadline=None)
hypothesis.settings.load_profile("tieout")
MINUTES = 60
ON_ONE_PLATFORM = {"control", "airflow", "tests"}


class ByFolder(LoadScopeScheduling):
    """Give a process whole folders, and those that share the platform to one process, which starts it once."""

    def _split_scope(self, nodeid: str) -> str:
        folder = nodeid.split("/", 1)[0]
        return "platform" if folder in ON_ONE_PLATFORM else folder


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:
    """Let `--numprocesses` divide the tests so."""
    return ByFolder(config, log)


@dataclass(frozen=True)
class Platform:
    """A started platform: its home, and how to use it as a person would."""

    home: Path
    loop: str

    @property
    def environment(self) -> dict[str, str]:
        """Airflow, where it is there, runs the pipeline only when it is triggered."""
        told = {"LOOP": self.loop, "PIPELINE_SCHEDULE": "off"}
        return os.environ | told | {"TIEOUT_HOME": str(self.home), "NO_COLOR": "1"}

    @property
    def settings(self) -> dict[str, str]:
        lines = (self.home / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    def script(self, name: str, *arguments: str, timeout: int = 10 * MINUTES) -> subprocess.CompletedProcess[str]:
        command = [str(CHECKOUT / "scripts" / name), *arguments]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=timeout, cwd="/", check=False
        )

    def tieout(self, *arguments: str, timeout: int = 10 * MINUTES) -> str:
        """Run a command that has to succeed; return its standard output."""
        result = self.script("tieout", *arguments, timeout=timeout)
        assert result.returncode == 0, (
            f"tieout {' '.join(arguments)}: exit {result.returncode}\n{result.stderr[-4000:]}"
        )
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.tieout(*arguments, "--json"))

    def background(self, *arguments: str) -> subprocess.Popen[str]:
        command = [str(CHECKOUT / "scripts" / "tieout"), *arguments]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/"
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what the database itself says, past every part of ours."""
        return ask(self.settings, query)

    def processes(self, *words: str) -> list[psutil.Process]:
        """Return this platform's processes, and those that they started, whose command line has all the words."""
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            try:
                if process.environ().get("TIEOUT_HOME") == str(self.home):
                    found |= {each.pid: each for each in (process, *process.children(recursive=True))}
            except psutil.Error:
                continue
        # Airflow's processes rename themselves, and lose what they were started with on the way.
        found |= {process.pid: process for process in orphans.members(find_layout({"TIEOUT_HOME": str(self.home)}))}
        return [process for process in found.values() if all(word in _command_line(process) for word in words)]


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.fixture(scope="session")
def services() -> Iterator[Handle]:
    """A real broker and a real, migrated database in a home of their own, for all tests of this process."""
    with temporary_platform() as handle:
        yield handle


@pytest.fixture(scope="session")
def store() -> Iterator[Store]:
    """A real S3 store, for all tests of this process."""
    with temporary_home("tieout-store-") as folder:
        own = free_store(folder)
        with running_store(own):
            yield own


@pytest.fixture
def own_store() -> Iterator[Store]:
    """A store that a test starts and kills by itself."""
    with temporary_home("tieout-store-") as folder:
        yield free_store(folder)


@contextmanager
def _started_platform(loop: str) -> Iterator[Platform]:
    """Yield a platform, started by the script that people use; stop it by theirs, and remove it."""
    home = Path(tempfile.mkdtemp(prefix="tieout test ä-", dir="/var/tmp"))
    home.chmod(0o755)
    started = Platform(home, loop)
    ports = zip(LISTENING, free_ports(len(LISTENING)), strict=True)
    (home / ".env").write_text("".join(f"{name}={port}\n" for name, port in ports), encoding="utf-8")
    result = started.script("start.sh", "--no-demo")
    assert result.returncode == 0, result.stdout + result.stderr
    yield started
    result = started.script("stop.sh")
    assert result.returncode == 0, result.stdout + result.stderr
    assert started.processes() == []
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """A platform without demo data, with Airflow, in which nothing repeats by itself: one for the whole run."""
    with _started_platform("airflow") as started:
        yield started


@pytest.fixture
def own_platform() -> Iterator[Platform]:
    """A platform of a test's own, without Airflow, for what no later test should find."""
    with _started_platform("off") as started:
        yield started
