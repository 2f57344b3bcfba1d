"""A real broker, the real command, and kills at random moments: every offset is in the lake exactly once."""

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from deltalake import DeltaTable
from real_stream import delivered, offsets_in_lake, produce, stream

from control.testing import temporary_platform

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def services() -> Iterator[Any]:
    """A broker whose topic holds these tests' events alone."""
    with temporary_platform() as handle:
        yield handle


def check_exactly_once(services: Any) -> None:
    ends, found = delivered(services.env), offsets_in_lake(services.home)
    assert sum(ends.values()) > 0
    assert found == Counter((p, offset) for p, end in ends.items() for offset in range(end))


def wait_until_it_writes(services: Any, pid: int) -> None:
    lock = services.home / "data" / ".writer.lock.holder"
    deadline = time.monotonic() + 200
    while not (lock.exists() and json.loads(lock.read_text() or "{}").get("driver") == pid):
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.slow
def test_what_is_there_is_drained_and_a_second_run_changes_nothing(services: Any) -> None:
    produce(services.env, 3_000)
    first = stream(services.env, "--once")
    log = first.communicate(timeout=400)[1]
    assert first.returncode == 0, log
    assert "MALFORMED_JSON 60" in log
    check_exactly_once(services)
    version = DeltaTable(str(services.home / "data" / "raw_transactions")).version()
    second = stream(services.env, "--once")
    assert (second.communicate(timeout=400), second.returncode)[1] == 0
    after = DeltaTable(str(services.home / "data" / "raw_transactions"))
    assert after.version() == version + 1
    assert json.loads(after.history(1)[0]["userMetadata"])["fence"]
    check_exactly_once(services)


@pytest.mark.slow
def test_kills_at_any_moment_and_a_lost_checkpoint_neither_lose_nor_repeat_an_event(services: Any) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    dice, env = random.Random(seed), {**services.env, "MAX_OFFSETS_PER_TRIGGER": "500"}
    interrupted = 0
    for round_ in range(4):
        produce(env, 8_000, first=100_000 * (round_ + 1))
        running = stream(env, "--trigger", "0s")
        wait_until_it_writes(services, running.pid)
        time.sleep(dice.uniform(0, 6))
        if round_ % 2:
            os.kill(running.pid, signal.SIGKILL)  # only the driver: its JVM must not write on beside the next
        else:
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        interrupted += sum(offsets_in_lake(services.home).values()) < sum(delivered(env).values())
        shutil.rmtree(services.home / "data" / "checkpoints", ignore_errors=True)
    assert interrupted > 0, "every kill came when all was done"
    last = stream({**env, "MAX_OFFSETS_PER_TRIGGER": "30000"}, "--once")
    log = last.communicate(timeout=400)[1]
    assert last.returncode == 0, log
    check_exactly_once(services)


def test_sigterm_ends_the_stream_cleanly_and_a_second_writer_is_refused(services: Any) -> None:
    running = stream(services.env, "--trigger", "1s")
    wait_until_it_writes(services, running.pid)
    other = stream(services.env, "--once")
    refusal = other.communicate(timeout=300)[1]
    assert other.returncode == 1
    assert f"process {running.pid}" in refusal
    running.send_signal(signal.SIGTERM)
    assert (running.communicate(timeout=150), running.returncode)[1] == 0


def test_a_wrong_password_is_one_clear_error(services: Any) -> None:
    refused = stream({**services.env, "KAFKA_PASSWORD_STREAM": "wrong"}, "--once")
    log = refused.communicate(timeout=300)[1]
    assert refused.returncode == 1
    assert "wrong password" in log
    assert "Traceback" not in log
