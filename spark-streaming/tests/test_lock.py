"""One writer: who holds the lock, who is told so, and when it is free again."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from core.locks import is_record_locked
from spark_streaming import lock
from spark_streaming.errors import LakeBusyError

HOLDER = """
import sys, time
from pathlib import Path
from core.layout import CHECKOUT, Layout
from spark_streaming import lock
from spark_streaming.session import start_session
from core.settings import Settings
home = Path(sys.argv[1])
lock.take(start_session(Settings(), Layout(CHECKOUT, home), "holder", ui=False), home / ".writer.lock")
print("locked", flush=True)
time.sleep(600)
"""


def test_a_lock_is_held_while_another_process_holds_it_and_asking_does_not_take_it(tmp_path: Path) -> None:
    path = tmp_path / ".writer.lock"
    assert not is_record_locked(path)
    hold = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'w')\n"
        "fcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        assert is_record_locked(path)
        other.communicate("\n")
    assert not is_record_locked(path)
    assert not is_record_locked(path)


@pytest.mark.services
def test_a_second_writer_is_refused_with_the_holder_named(spark: Any, tmp_path: Path) -> None:
    path = tmp_path / ".writer.lock"
    with path.open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        lock.holder_file(path).write_text(json.dumps({"driver": os.getpid(), "jvm": 7}))
        with pytest.raises(LakeBusyError, match=rf"process {os.getpid()} \(JVM 7\) is it"):
            lock.take(spark, path)
        lock.holder_file(path).unlink()
        with pytest.raises(LakeBusyError, match="another process is it"):
            lock.take(spark, path, patience=0.5)
    lock.take(spark, path)
    assert is_record_locked(path)
    lock.release(spark, path)
    assert not is_record_locked(path)


@pytest.mark.services
def test_the_lock_outlives_a_killed_driver_and_is_free_when_its_jvm_is_gone(spark: Any, tmp_path: Path) -> None:
    path = tmp_path / ".writer.lock"
    driver = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    assert driver.stdout.readline() == "locked\n"
    jvm = json.loads(lock.holder_file(path).read_text())["jvm"]
    os.kill(jvm, signal.SIGSTOP)  # a JVM that still lives, and could still commit
    try:
        driver.kill()
        driver.wait()
        with pytest.raises(LakeBusyError, match=f"JVM {jvm}"):
            lock.take(spark, path, patience=1)
    finally:
        os.kill(jvm, signal.SIGCONT)
    lock.take(spark, path, patience=60)
    lock.release(spark, path)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{jvm}/cmdline").exists() and Path(f"/proc/{jvm}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.2)
