"""One writer: who holds the lock, who is told so, and when it is free again."""

import subprocess
import sys
from pathlib import Path

import pytest

from core.locks import is_record_locked
from spark_streaming import lock
from spark_streaming.errors import LakeBusyError

HOLDER = """
import sys, time
from pathlib import Path
from spark_streaming import lock
with lock.take(Path(sys.argv[1])):
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


def test_a_second_writer_is_refused_with_the_holder_named(tmp_path: Path) -> None:
    path = tmp_path / ".writer.lock"
    driver = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True)
    try:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "locked\n"
        assert is_record_locked(path)
        with pytest.raises(LakeBusyError, match=rf"process {driver.pid} is it"), lock.take(path):
            pass
        lock.holder_file(path).unlink()
        with pytest.raises(LakeBusyError, match="another process is it"), lock.take(path, patience=0.5):
            pass
    finally:
        driver.kill()
        driver.wait()
    with lock.take(path):
        assert is_record_locked(path)
        path.open("rb").close()
        assert is_record_locked(path), "another handle that is closed does not end it"
    assert not is_record_locked(path)
