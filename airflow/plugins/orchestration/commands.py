"""Run a program as a task: its words in the task's log, its JSON as the result, its exit code as the way to go on."""

import json
import logging
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from orchestration.settings import PLATFORM_PYTHON, WAIT_EXEC, child_environment

# EX_TEMPFAIL: the work met something that was away, and the same command may succeed later.
OUTAGE = 75
LAST_WORDS = 12

log = logging.getLogger(__name__)


class Running:
    """A program that was started for a task, and ends with it."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, dies_by: str = "SIGTERM", cwd: str = "/"
    ) -> None:
        self.words: deque[str] = deque(maxlen=LAST_WORDS)
        self.process = subprocess.Popen(
            [str(PLATFORM_PYTHON), "-I", "-S", str(WAIT_EXEC), dies_by, "--", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=dict(environment),
            cwd=cwd,
            # A group, to end all of it; not a session, in which Airflow's niceness would count for nothing.
            process_group=0,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None  # noqa: S101  # Popen was given a pipe
        for line in self.process.stderr:
            words = line.rstrip()
            if words:
                self.words.append(words)
                log.info(words)

    def wait(self) -> int:
        """Wait for the end and for the last word; return the exit code."""
        code = self.process.wait()
        self._listener.join(timeout=10)
        return code

    def end(self, seconds: float = 30) -> None:
        """Ask the program and what it started to end, and make them."""
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10)):
            if self.process.poll() is not None:
                return
            os.killpg(self.process.pid, number)
            try:
                self.process.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                continue


def run_tieout(arguments: Sequence[str], started: Callable[[Running], None] = lambda _: None) -> dict[str, Any]:
    """Run `tieout ARGUMENTS`; return the JSON that it printed, or an empty dictionary.

    Raises:
        AirflowException: an outage, or the command was killed: worth another try.
        AirflowFailException: everything else stays wrong however often it is tried.
    """
    log.info("tieout %s", " ".join(arguments))
    running = Running([str(PLATFORM_PYTHON), "-P", "-m", "control", *arguments], child_environment())
    started(running)
    assert running.process.stdout is not None  # noqa: S101  # Popen was given a pipe
    printed = running.process.stdout.read()
    raise_for(running.wait(), f"tieout {arguments[0]}", "\n".join(running.words))
    return read_result(printed)


def raise_for(code: int, name: str, words: str) -> None:
    """Turn an exit code into what Airflow should do.

    Raises:
        AirflowException: the task may be tried again.
        AirflowFailException: it may not.
    """
    if code == 0:
        return
    if code == OUTAGE:
        raise AirflowException(f"{name} met an outage; the task is tried again.\n{words}")
    if code < 0:
        raise AirflowException(f"{name} was killed by signal {-code}; the task is tried again.\n{words}")
    raise AirflowFailException(f"{name} ended with exit code {code}; trying again would not help.\n{words}")


def read_result(printed: str) -> dict[str, Any]:
    """Return the last JSON object that a command printed."""
    for line in reversed(printed.strip().splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}
