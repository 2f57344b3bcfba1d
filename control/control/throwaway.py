"""Throw-away homes of drills and benchmarks: each says whose it is, so that the next one removes what a kill left."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from control import orphans, supervision
from core.layout import find_layout

OWNER = ".owner"


def folder() -> Path:
    """Return where throw-away homes are made: on disk, not in memory."""
    return Path(os.environ.get("TMPDIR") or "/var/tmp")  # noqa: S108  # a new folder of its own is made there


def claim(home: Path) -> None:
    """Write into a new home that it is this process's."""
    (home / OWNER).write_text(f"{os.getpid()} {orphans.began(os.getpid())}", encoding="utf-8")


def release(home: Path) -> None:
    """Let a home stay: it is nobody's, and no sweep takes it."""
    (home / OWNER).unlink(missing_ok=True)


def sweep(prefix: str) -> list[Path]:
    """End and remove the platforms whose owner was killed; return their homes."""
    swept = []
    for home in folder().glob(f"{prefix}*"):
        with suppress(OSError, ValueError):
            pid, begun = (home / OWNER).read_text(encoding="utf-8").split()
            if _lives(int(pid), float(begun)):
                continue
            _end_all_of(home)
            supervision.shut_down(find_layout({"TIEOUT_HOME": str(home)}))
            _unmount_all_of(home)
            shutil.rmtree(home, ignore_errors=True)
            swept.append(home)
    return swept


def _lives(pid: int, begun: float) -> bool:
    try:
        return abs(orphans.began(pid) - begun) < 1
    except psutil.NoSuchProcess:
        return False


def _end_all_of(home: Path) -> None:
    """End commands of a home: one that became the services' account has lost the kernel's word to end with us."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            environment = process.environ()
            # Services are ended in order, by their supervisor.
            if environment.get("TIEOUT_HOME") == str(home) and orphans.MARK not in environment:
                process.kill()


def _unmount_all_of(home: Path) -> None:
    """Take away what was mounted in a home: the small disk that a drill lets run full."""
    mounted = [part.mountpoint for part in psutil.disk_partitions(all=True)]
    for place in reversed(mounted):
        if place.startswith(f"{home}/"):
            subprocess.run(["umount", "--lazy", place], check=False)
