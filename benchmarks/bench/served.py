"""A side that stays warm: one process that is asked again and again, line by line."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.frame import BenchError
from bench.ground import GONE, dying, end


class Served:
    """A process that answers each line of JSON with one line of JSON."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process = process
        self._log = log

    def ask(self, **words: Any) -> dict[str, Any]:
        """Ask and wait for the answer.

        Raises:
            BenchError: the process ended, or says that it failed.
        """
        assert self._process.stdin is not None  # noqa: S101  # Popen was given pipes
        try:
            self._process.stdin.write(json.dumps(words) + "\n")
            self._process.stdin.flush()
            line = self._next_answer()
        except BrokenPipeError:
            line = ""
        if not line:
            raise BenchError(f"a side's process ended: {self._last_words()}", GONE, "run the hop alone")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise BenchError(f"a side failed: {answer['failed']}", GONE, "run the hop alone")
        return answer

    def _next_answer(self) -> str:
        """Return the next line that is an answer: dbt tells of each model before."""
        assert self._process.stdout is not None  # noqa: S101
        while (line := self._process.stdout.readline()).startswith('{"event": "node"'):
            pass
        return line

    def _last_words(self) -> str:
        text = self._log.read_text(encoding="utf-8", errors="replace")
        return " | ".join(line.strip() for line in text.splitlines() if line.strip())[-700:]


@contextmanager
def served(command: list[str], first: Mapping[str, Any] | None, environment: Mapping[str, str]) -> Iterator[Served]:
    """Start such a process, tell it the first line, and end it with the block.

    Args:
        first: what it needs to begin; its answer is waited for. None: it needs nothing.
        environment: all that it gets.
    """
    with tempfile.NamedTemporaryFile("w+", suffix=".log") as said:
        process = subprocess.Popen(
            dying(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            cwd="/",
            env=dict(environment),
        )
        try:
            server = Served(process, Path(said.name))
            if first is not None:
                server.ask(**first)
            yield server
        finally:
            assert process.stdin is not None  # noqa: S101  # Popen was given a pipe
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                end(process)
            assert process.stdout is not None  # noqa: S101
            process.stdout.close()
