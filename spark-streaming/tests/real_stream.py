"""What drills with a real broker share: payments in, the real command, and what the lake holds afterwards."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from confluent_kafka import Producer
from deltalake import DeltaTable

from control.offsets import end_offsets
from core.kafka_login import librdkafka_login

EVENT = {
    "transaction_id": "t1", "customer_id": "c1", "amount": 12.34, "status": "SUCCESS", "currency": "INR",
    "timestamp": "2025-11-21T10:11:12+05:30", "is_fraud": False, "failure_reason": None,
}  # fmt: skip


def produce(env: dict[str, str], count: int, first: int = 0, padding: int = 0) -> None:
    """Send events, one in fifty malformed; `padding` bytes that do not compress make each of them larger."""
    producer = Producer(
        {
            **librdkafka_login(env["KAFKA_BOOTSTRAP"], "gateway", env["KAFKA_PASSWORD_GATEWAY"]),
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    for number in range(first, first + count):
        more = {"padding": random.randbytes(padding).hex()} if padding else {}
        good = json.dumps({**EVENT, "transaction_id": f"t{number}", **more}).encode()
        value = b"no json" if number % 50 == 0 else good
        producer.produce("transactions", value, f"c{number % 97}", headers={"run": "r1", "seq": str(number)})
    assert producer.flush(60) == 0


def delivered(env: dict[str, str]) -> dict[int, int]:
    return end_offsets(env, "transactions")


def tieout(env: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "control", *arguments]
    return subprocess.Popen(
        command,
        env={**os.environ, **env},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def offsets_in_lake(home: Path) -> Counter[tuple[int, int]]:
    found: Counter[tuple[int, int]] = Counter()
    for table in ("raw_transactions", "dead_letter_queue"):
        if not DeltaTable.is_deltatable(str(home / "data" / table)):
            continue  # killed before it was made
        rows = DeltaTable(str(home / "data" / table)).to_pyarrow_table(columns=["partition", "offset"]).to_pydict()
        found.update(zip(rows["partition"], rows["offset"], strict=True))
    return found


def stream(env: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return tieout(env, "stream", *arguments)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a command; return its exit code and what it said on stderr."""
    log = process.communicate(timeout=400)[1]
    return process.returncode, log
