"""Ctrl-C and SIGTERM end a run in order: what was built is delivered first, within bounds."""

import signal
import time
from types import FrameType

FLUSH_SECONDS = 15.0


class Stop:
    """Set by the first signal; a second one ends the waiting at once."""

    def __init__(self) -> None:
        self.requested = False
        self._deadline = float("inf")

    @property
    def expired(self) -> bool:
        """True when there is no time left to deliver what is under way."""
        return self.requested and time.monotonic() >= self._deadline

    def request(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Ask for the end (a signal handler)."""
        self._deadline = time.monotonic() + (0.0 if self.requested else FLUSH_SECONDS)
        self.requested = True

    def listen(self) -> None:
        """Take over Ctrl-C and SIGTERM."""
        signal.signal(signal.SIGINT, self.request)
        signal.signal(signal.SIGTERM, self.request)
