"""Stands where the broker would: takes every message and sends none."""

from collections.abc import Callable
from hashlib import sha256

from data_generator.delivery import Message


class DryRun:
    """A delivery that only counts, and hashes what would be sent.

    Attributes:
        digest: over keys and values in order; the same for the same seed, start, key and file.
    """

    waiting = 0

    def __init__(self, acknowledged: Callable[[int, int, int], None]) -> None:
        self._acknowledged = acknowledged
        self.digest = sha256()

    def send(self, number: int, message: Message) -> bool:
        """Take a message."""
        self.digest.update(b"%s\n%s\n" % (message.key or b"", message.value or b""))
        self._acknowledged(number, 0, number - 1)
        return True

    def poll(self, seconds: float) -> None:
        """Wait for nothing."""

    def finish(self) -> None:
        """Wait for nothing."""

    def give_up(self) -> list[Message]:
        """Return what is not acknowledged: nothing."""
        return []
