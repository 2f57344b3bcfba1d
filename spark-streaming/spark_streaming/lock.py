"""The lake has one writer. The lock belongs to the writer's JVM, and lives exactly as long as that does.

Delta's log on a local path is safe within one JVM only, and a JVM can outlive the Python process that drives it: a lock
of the Python process would be free while the JVM still commits.
"""

import json
import os
import time
from pathlib import Path

from pyspark.sql import SparkSession

from spark_streaming.errors import LakeBusyError

PROPERTY = "tieout.writer.lock"


def holder_file(lock: Path) -> Path:
    """Return the file beside the lock that says who holds it."""
    return lock.with_name(lock.name + ".holder")


def take(spark: SparkSession, lock: Path, *, patience: float = 20.0) -> None:
    """Lock the lake for this session's JVM, for as long as the JVM lives.

    Args:
        lock: the file to lock.
        patience: seconds to wait for a JVM whose driver is dead already, and which is about to end.

    Raises:
        LakeBusyError: another process writes the lake.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    jvm = spark._jvm
    assert jvm is not None  # noqa: S101 - only Spark Connect has none
    channel = jvm.java.io.RandomAccessFile(str(lock), "rw").getChannel()
    deadline = time.monotonic() + patience
    while channel.tryLock() is None:
        holder = _holder(lock)
        if time.monotonic() > deadline or _is_alive(holder.get("driver")):
            channel.close()
            raise _busy(lock, holder)
        time.sleep(0.2)
    # A reference that only Python held would go with the Python process, and the lock with it.
    jvm.java.lang.System.getProperties().put(PROPERTY, channel)
    jvm_pid = int(jvm.java.lang.ProcessHandle.current().pid())
    holder_file(lock).write_text(json.dumps({"driver": os.getpid(), "jvm": jvm_pid}), encoding="utf-8")


def release(spark: SparkSession, lock: Path) -> None:
    """Give the lock back before the JVM ends."""
    jvm = spark._jvm
    channel = jvm.java.lang.System.getProperties().remove(PROPERTY) if jvm is not None else None
    if channel is not None:
        holder_file(lock).unlink(missing_ok=True)
        channel.close()


def _holder(lock: Path) -> dict[str, int]:
    try:
        found = json.loads(holder_file(lock).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def _busy(lock: Path, holder: dict[str, int]) -> LakeBusyError:
    who = f"process {holder['driver']} (JVM {holder['jvm']})" if holder else "another process"
    return LakeBusyError(
        f"The lake has one writer, and {who} is it: {lock} is locked.",
        "nothing was read or written by this one.",
        "./scripts/tieout status, or wait for that process to end",
    )
