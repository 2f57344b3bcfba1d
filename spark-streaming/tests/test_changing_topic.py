"""A topic that changes while the stream runs: partitions are added, producers commit and abort transactions."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from deltalake import DeltaTable
from real_stream import EVENT, ended, offsets_in_lake, stream

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from control.catching_up import lake_ends
from control.offsets import end_offsets, held_back
from control.testing import Handle, add_partitions, temporary_platform, transaction
from core.lake import Lake
from core.places import LocalPlace

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def services() -> Iterator[Handle]:
    """A broker whose topic holds these tests' events alone."""
    with temporary_platform() as handle:
        yield handle


def event(name: str) -> bytes:
    return json.dumps({**EVENT, "transaction_id": name}).encode()


def wait_for(services: Handle, ends: dict[int, int], process: Any) -> None:
    lake = Lake(LocalPlace(services.home / "data"))
    deadline = time.monotonic() + 400
    payments = load_entity(PAYMENTS)
    while not all(lake_ends(lake, payments).get(p, 0) >= end for p, end in ends.items()):
        assert process.poll() is None, ended(process)
        assert time.monotonic() < deadline, lake_ends(lake, payments)
        time.sleep(1)


def commits(services: Handle, table: str) -> list[dict[str, Any]]:
    history = DeltaTable(str(services.home / "data" / table)).history()
    return [json.loads(commit["userMetadata"]) for commit in history if commit.get("userMetadata")]


def test_transactions_and_new_partitions_are_taken_in_while_the_stream_runs(services: Handle) -> None:
    env = {**services.env, "MAX_OFFSETS_PER_TRIGGER": "6"}  # so that batches end within transactions, and at markers
    with transaction(env, [event("a1"), event("a2"), event("a3")], partition=0):
        pass
    running = stream(env, "--trigger", "1s")
    wait_for(services, {0: 4}, running)  # the broker would end an open transaction while Spark starts
    with ExitStack() as opened:
        opened.enter_context(transaction(env, [event("late"), b"no json"], partition=3))
        with transaction(env, [event("behind")], partition=3):
            pass
        with transaction(env, [event(f"no{n}") for n in range(6)], partition=0, abort=True):
            pass
        with transaction(env, [event("no")], partition=2, abort=True):
            pass
        ends, held = held_back(env, "transactions")
        assert ends == {0: 11, 1: 0, 2: 2, 3: 0, 4: 0, 5: 0}
        assert held == 4
        wait_for(services, ends, running)
        assert set(offsets_in_lake(services.home)) == {(0, 0), (0, 1), (0, 2)}
    add_partitions(env, "transactions", 8)
    with transaction(env, [event("new"), b"no json either"], partition=7):
        pass
    ends = end_offsets(env, "transactions")
    assert ends == {0: 11, 1: 0, 2: 2, 3: 5, 4: 0, 5: 0, 6: 0, 7: 3}
    wait_for(services, ends, running)
    running.send_signal(signal.SIGTERM)
    code, log = ended(running)
    assert (code, "Traceback" in log) == (0, False), log
    wanted = {(0, 0), (0, 1), (0, 2), (3, 0), (3, 1), (3, 2), (7, 0), (7, 1)}
    found = offsets_in_lake(services.home)
    assert set(found) == wanted
    assert set(found.values()) == {1}
    for table in ("raw_transactions", "dead_letter_queue"):
        gaps: dict[str, int] = {}
        for each in commits(services, table):
            for partition, count in each.get("gaps", {}).items():
                gaps[partition] = gaps.get(partition, 0) + count
        assert gaps == {"0": 8, "2": 2, "3": 2, "7": 1}
