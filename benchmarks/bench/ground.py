"""The ground that a hop is measured on: a throw-away platform, the processes started on it, and what a kill left."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.frame import BenchError
from bench.memory import Peaks
from control import throwaway
from control.env import NAMES
from control.testing import Handle, temporary_home, temporary_platform
from core.layout import Layout

PREFIX = "tieout-bench-"
# All that is taken from the caller's environment: a setting in it would point at the caller's own platform.
TAKEN = ("PATH", "HOME", "LANG", "LC_ALL", "TERM", "TMPDIR", "TZ", "JAVA_HOME", "NO_COLOR", "PYTHONPATH")
GONE = "everything that the benchmark made is gone."


@dataclass(frozen=True)
class Ground:
    """A running broker and database in a home of their own."""

    handle: Handle

    @property
    def env(self) -> dict[str, str]:
        """Every setting, secrets with them."""
        return self.handle.env

    @property
    def layout(self) -> Layout:
        """Where everything of it is."""
        return self.handle.platform.layout

    def tieout(self, *words: str, peaks: dict[str, int] | None = None) -> str:
        """Run a command of the platform that has to succeed; return what it printed.

        Args:
            peaks: filled with the peak memory of its processes, by program.
        """
        environment = {"TIEOUT_HOME": str(self.handle.home)}
        return run([sys.executable, "-P", "-m", "control", *words], environment=environment, peaks=peaks)

    @contextmanager
    def background(self, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a command of the platform beside the block; it is asked to end with it."""
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                dying([sys.executable, "-P", "-m", "control", *words]),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd="/",
                env={**os.environ, "TIEOUT_HOME": str(self.handle.home)},
            )
            try:
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    end(process)


@contextmanager
def own_home() -> Iterator[Path]:
    """Yield a new home that tells whose it is, so that what a kill leaves can be found."""
    with temporary_home(PREFIX, throwaway.folder()) as home:
        throwaway.claim(home)
        yield home


@contextmanager
def own_platform() -> Iterator[Ground]:
    """Yield a platform that nobody else uses; it is stopped and removed at the end."""
    with own_home() as home, temporary_platform(home) as handle:
        yield Ground(handle)


def sweep() -> list[Path]:
    """End and remove the platforms of benchmarks that were killed; return their homes."""
    return throwaway.sweep(PREFIX)


def end(process: "subprocess.Popen[Any]") -> None:
    """End a process with all that it started, at once."""
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
    process.kill()
    process.wait()


def installing() -> dict[str, str]:
    """Return the caller's environment for what fetches packages, such as its proxy, without any platform's settings."""
    return {name: value for name, value in _callers.items() if name not in {*NAMES, "TIEOUT_HOME"}}


_callers: dict[str, str] = {}


def forget_settings() -> None:
    """Keep nothing in this process's environment that could point at another platform."""
    _callers.update(os.environ)
    kept = {name: os.environ[name] for name in TAKEN if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)


def end_on_signal() -> None:
    """Let SIGTERM unwind as Ctrl-C does, so that what was started is ended."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def dying(command: list[str]) -> list[str]:
    """Return the command so that the kernel ends it with the benchmark, where setpriv is there to ask for that."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command


def run(
    command: list[str],
    *,
    environment: Mapping[str, str] | None = None,
    told: str = "",
    peaks: dict[str, int] | None = None,
) -> str:
    """Run a program that has to succeed; return what it printed.

    Args:
        environment: beside the benchmark's own.
        told: its standard input.
        peaks: filled with the peak memory of its processes in MiB, by program.

    Raises:
        BenchError: it failed; with its last words.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(
            dying(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            cwd="/",
            env={**os.environ, **(environment or {})},
        )
        try:
            with Peaks(process.pid) as watched:
                out, _ = process.communicate(told)
            if peaks is not None:
                peaks.update(watched.mib)
        except BaseException:
            end(process)
            raise
        if process.returncode != 0:
            said.seek(0)
            words = [line.strip() for line in said.read().splitlines() if line.strip()]
            raise BenchError(
                f"{Path(command[0]).name} {' '.join(command[1:4])} ended with exit code {process.returncode}: "
                f"{' | '.join(words)[-700:] or 'no word'}",
                GONE,
                "run the hop alone with --hop",
            )
    return out


def ask(module: str, words: Mapping[str, Any], *, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a side of the package in a process of its own; return its answer. What it is told is in no process list."""
    out = run([sys.executable, "-P", "-m", module], told=json.dumps(words), environment=environment)
    answer: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return answer


def ask_peer(python: str, script: str, words: Mapping[str, Any]) -> dict[str, Any]:
    """Run a peer's script with the peers' interpreter; return its answer."""
    path = Path(__file__).parents[1] / "peers" / script
    out = run([python, "-P", str(path)], told=json.dumps(words))
    answer: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return answer
