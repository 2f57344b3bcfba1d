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

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.words: deque[str] = deque(maxlen=LAST_WORDS)
        self.process = subprocess.Popen(
            [str(PLATFORM_PYTHON), "-I", "-S", str(WAIT_EXEC), "SIGTERM", "--", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=dict(environment),
            cwd="/",
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


def run_tieout(
    arguments: Sequence[str],
    started: Callable[[Running], None] = lambda _: None,
    heard: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Run `tieout ARGUMENTS`; return the last JSON object that it printed, or an empty dictionary.

    Args:
        arguments: its words.
        started: called with the program once it runs.
        heard: called with each JSON object as it is printed.

    Raises:
        AirflowException: an outage, or the command was killed: worth another try.
        AirflowFailException: everything else stays wrong however often it is tried.
    """
    log.info("tieout %s", " ".join(arguments))
    running = Running([str(PLATFORM_PYTHON), "-P", "-m", "control", *arguments], child_environment())
    started(running)
    assert running.process.stdout is not None  # noqa: S101  # Popen was given a pipe
    result: dict[str, Any] = {}
    for line in running.process.stdout:
        found = read_object(line)
        if found is not None:
            result = found
            heard(found)
    raise_for(running.wait(), f"tieout {arguments[0]}", "\n".join(running.words))
    return result


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


def read_object(line: str) -> dict[str, Any] | None:
    """Return the JSON object that a line holds, if it is one."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
