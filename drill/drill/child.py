"""A command of the platform that the drill has started, and may kill."""

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import TieoutError

PATIENCE = 600.0


class DrillError(TieoutError):
    """The drill itself cannot go on; this says nothing about the books."""


@dataclass
class Child:
    """A command of the platform that the drill has started, in a process group of its own."""

    words: tuple[str, ...]
    process: subprocess.Popen[bytes]
    out: Path
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def kill(self) -> bool:
        """Kill its whole group; False when it had ended before."""
        if not self.alive:
            return False
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait() == -signal.SIGKILL

    def wait(self, seconds: float = PATIENCE) -> int:
        """Return its exit code; negative: the signal that ended it.

        Raises:
            DrillError: it does not end.
        """
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise DrillError(
                f"tieout {' '.join(self.words)} did not end within {seconds:.0f} s; its last words: {self.last_words}",
                "it was killed.",
                f"read {self.log}",
            ) from None

    @property
    def last_words(self) -> str:
        """The end of what it said, on one line."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return " | ".join(line.strip() for line in text.splitlines() if line.strip())[-600:] or "none"
