"""The lake has one writer: the process that commits holds a lock on a file for as long as it lives.

The lock only says who should write; what keeps another writer out is the fence in the tables' own log.
"""

import fcntl
import json
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spark_streaming.errors import LakeBusyError


def holder_file(lock: Path) -> Path:
    """Return the file beside the lock that says who holds it."""
    return lock.with_name(lock.name + ".holder")


@contextmanager
def take(lock: Path, *, patience: float = 20.0) -> Iterator[None]:
    """Hold the lock of the lake.

    Args:
        lock: the file to lock.
        patience: seconds to wait for a holder that is about to end.

    Raises:
        LakeBusyError: another process writes the lake.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + patience
        while not _locked(handle):
            holder = _holder(lock)
            if time.monotonic() > deadline or _is_alive(holder):
                raise _busy(lock, holder)
            time.sleep(0.2)
        holder_file(lock).write_text(json.dumps({"driver": os.getpid()}), encoding="utf-8")
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    # A lock of the open file: another handle of this process that is closed does not end it, as it would a POSIX one.
    whole_file = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, whole_file)
    except BlockingIOError:
        return False
    return True


def _holder(lock: Path) -> int | None:
    try:
        return int(json.loads(holder_file(lock).read_text(encoding="utf-8"))["driver"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def _busy(lock: Path, holder: int | None) -> LakeBusyError:
    who = f"process {holder}" if holder else "another process"
    return LakeBusyError(
        f"The lake has one writer, and {who} is it: {lock} is locked.",
        "nothing was read or written by this one.",
        "./scripts/tieout status, or wait for that process to end",
    )
