"""Signals that ask a command to end: they end its pauses, and its work ends where nothing is half done."""

import signal
import threading
from types import FrameType


class Stop:
    """Takes SIGTERM and SIGINT for as long as the process lives.

    Attributes:
        asked: whether one has come.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._take)

    def _take(self, _: int, __: FrameType | None) -> None:
        self._asked.set()

    @property
    def asked(self) -> bool:
        """Whether the work is to end."""
        return self._asked.is_set()

    def pause(self, seconds: float) -> bool:
        """Wait, or until a signal comes; return whether to go on."""
        return not self._asked.wait(seconds)
