"""What a whole platform takes while nothing happens: memory by proportional set size, and processor time."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from control import orphans
from core.layout import Layout


def processes(layout: Layout) -> list[psutil.Process]:
    """Return every process of a platform and all that they started."""
    found = {process.pid: process for process in orphans.members(layout)}
    for process in list(found.values()):
        with suppress(psutil.Error):
            found |= {child.pid: child for child in process.children(recursive=True)}
    return list(found.values())


def memory_gib(layout: Layout) -> float:
    """Return the sum of the proportional set sizes: pages that are shared count once."""
    return sum(_pss_kib(process.pid) for process in processes(layout)) / 2**20


def _pss_kib(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def share_of_a_core(layout: Layout, seconds: float) -> float:
    """Return how much of one core the platform uses over a while."""
    begun, before = time.monotonic(), dict(_ticks(layout))
    time.sleep(seconds)
    after = dict(_ticks(layout))
    used = sum(ticks - before.get(pid, 0) for pid, ticks in after.items())
    return used / os.sysconf("SC_CLK_TCK") / (time.monotonic() - begun)


def _ticks(layout: Layout) -> Iterator[tuple[int, int]]:
    for process in processes(layout):
        with suppress(OSError):
            fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            # Its own, and of children that ended meanwhile.
            yield process.pid, sum(map(int, fields[11:15]))
