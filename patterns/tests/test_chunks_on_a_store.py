"""Chunks in a bucket of a real S3 store that is killed meanwhile."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from control.store import Store, running_store
from core.bucket import Bucket
from patterns.chunk_names import parse_chunk_name

pytestmark = pytest.mark.services

TIEOUT = Path(sys.executable).with_name("tieout")
ROWS = 6_000


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline, "it does not go on"
        time.sleep(0.02)


def test_a_store_that_is_killed_is_waited_for_and_nothing_is_lost(tmp_path: Path, own_store: Store) -> None:
    path = tmp_path / "in.csv"
    text = "".join(f"{i},'C{i}',1.00\n" for i in range(ROWS))
    path.write_text(f"step,customer,amount\n{text}")
    words = [str(TIEOUT), "chunks", str(path), "--rows", "100", "--every", "0s", "--to", "s3://lake/x/input_chunks"]
    environment = {**os.environ, "TIEOUT_HOME": str(tmp_path), **own_store.settings}
    log = tmp_path / "log"
    with running_store(own_store) as server:
        with log.open("w") as file:
            cutter = subprocess.Popen(words, env=environment, stderr=file)
        place = Bucket("lake", "x", own_store.endpoint, "us-east-1", own_store.access_key, own_store.secret_key)
        until(lambda: len(place.names("input_chunks")) >= 5)
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    until(lambda: "waiting: the store" in log.read_text())
    with running_store(own_store):
        assert cutter.wait(180) == 0, log.read_text()
        assert "going on" in log.read_text()
        names = [name for each in place.names("input_chunks") if (name := parse_chunk_name(each))]
        assert sorted((each.number, each.first_row) for each in names) == [(i + 1, i * 100) for i in range(60)]
        found = b"".join(
            place.read(f"input_chunks/{each.text}").partition(b"\n")[2]
            for each in sorted(names, key=lambda each: each.number)
        )
        assert found == text.encode()
