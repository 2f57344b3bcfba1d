"""Takes files as they come: each once it is whole, which a rename or some quiet seconds say."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from core.settings import Settings
from data_generator.ingest.sources import Item, find_items
from data_generator.stopping import Stop

LOOK_SECONDS: Final = 1.0
# A file that was not written to for so long is taken for whole. An object of a store always is.
QUIET_SECONDS: Final = 5.0


class Arrivals:
    """Knows which files were taken, and which are still being written.

    Args:
        clock: seconds that only go up.
        now: seconds since 1970.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:  # fmt: skip
        self._clock, self._now = clock, now
        self._taken: dict[str, tuple[int, int]] = {}
        self._changed: dict[str, tuple[tuple[int, int], float]] = {}

    def whole(self, items: Sequence[Item]) -> list[Item]:
        """Return those items that are whole and were not taken; a file that changed is a new one."""
        there = {item.name for item in items}
        self._changed = {name: held for name, held in self._changed.items() if name in there}
        return [item for item in items if self._taken.get(item.name) != item.version and self._is_whole(item)]

    def take(self, item: Item) -> None:
        """Note that a file was taken as it is now."""
        self._taken[item.name] = item.version
        self._changed.pop(item.name, None)

    def _is_whole(self, item: Item) -> bool:
        if item.path is None:
            return True
        version, since = self._changed.get(item.name, (None, 0.0))
        if version != item.version:
            since = self._clock()
            self._changed[item.name] = (item.version, since)
        written = item.version[1] / 1e9
        return self._clock() - since >= QUIET_SECONDS or self._now() - written >= QUIET_SECONDS


def follow(sources: Sequence[str], settings: Settings, stop: Stop, arrivals: Arrivals) -> Iterator[Item]:
    """Yield files and objects as they come, until stopped.

    Whoever takes one says so with `Arrivals.take`; one that is not taken comes again.
    """
    while not stop.requested:
        for item in arrivals.whole(find_items(sources, settings, may_be_none=True)):
            if stop.requested:
                return
            yield item
        begun = time.monotonic()
        while time.monotonic() - begun < LOOK_SECONDS and not stop.requested:
            time.sleep(0.05)
