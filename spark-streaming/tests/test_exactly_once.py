"""A real broker, the real command, and kills at random moments: every offset is in the lake exactly once."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from deltalake import DeltaTable
from kafka import KafkaConsumer, TopicPartition

pytestmark = pytest.mark.services

EVENT = {
    "transaction_id": "t1", "customer_id": "c1", "amount": 12.34, "status": "SUCCESS", "currency": "INR",
    "timestamp": "2025-11-21T10:11:12+05:30", "is_fraud": False, "failure_reason": None,
}  # fmt: skip


def produce(env: dict[str, str], count: int, first: int = 0) -> None:
    producer = Producer(
        {
            "bootstrap.servers": env["KAFKA_BOOTSTRAP"],
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-256",
            "sasl.username": "gateway",
            "sasl.password": env["KAFKA_PASSWORD_GATEWAY"],
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    for number in range(first, first + count):
        good = json.dumps({**EVENT, "transaction_id": f"t{number}"}).encode()
        value = b"no json" if number % 50 == 0 else good
        producer.produce("transactions", value, f"c{number % 97}", headers={"run": "r1", "seq": str(number)})
    assert producer.flush(60) == 0


def delivered(env: dict[str, str]) -> dict[int, int]:
    consumer = KafkaConsumer(
        bootstrap_servers=env["KAFKA_BOOTSTRAP"],
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-256",
        sasl_plain_username="auditor",
        sasl_plain_password=env["KAFKA_PASSWORD_AUDITOR"],
    )
    try:
        partitions = [TopicPartition("transactions", p) for p in consumer.partitions_for_topic("transactions") or ()]
        return {tp.partition: end for tp, end in consumer.end_offsets(partitions).items()}
    finally:
        consumer.close()


def stream(env: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "control", "stream", *arguments]
    return subprocess.Popen(
        command, env={**os.environ, **env}, start_new_session=True, stderr=subprocess.PIPE, text=True
    )


def offsets_in_lake(home: Path) -> Counter[tuple[int, int]]:
    found: Counter[tuple[int, int]] = Counter()
    for table in ("raw_transactions", "dead_letter_queue"):
        rows = DeltaTable(str(home / "data" / table)).to_pyarrow_table(columns=["partition", "offset"]).to_pydict()
        found.update(zip(rows["partition"], rows["offset"], strict=True))
    return found


def check_exactly_once(services: Any) -> None:
    ends, found = delivered(services.env), offsets_in_lake(services.home)
    assert sum(ends.values()) > 0
    assert found == Counter((p, offset) for p, end in ends.items() for offset in range(end))


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
    assert DeltaTable(str(services.home / "data" / "raw_transactions")).version() == version


def test_kills_at_any_moment_and_a_lost_checkpoint_neither_lose_nor_repeat_an_event(services: Any) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    dice, env = random.Random(seed), {**services.env, "MAX_OFFSETS_PER_TRIGGER": "4000"}
    for round_ in range(4):
        produce(env, 20_000, first=100_000 * (round_ + 1))
        running = stream(env, "--trigger", "1s")
        time.sleep(dice.uniform(9, 22))
        if round_ % 2:
            os.kill(running.pid, signal.SIGKILL)  # only the driver: its JVM must not write on beside the next
        else:
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        shutil.rmtree(services.home / "data" / "checkpoints", ignore_errors=True)
    last = stream(env, "--once")
    log = last.communicate(timeout=400)[1]
    assert last.returncode == 0, log
    check_exactly_once(services)


def test_sigterm_ends_the_stream_cleanly_and_a_second_writer_is_refused(services: Any) -> None:
    running = stream(services.env, "--trigger", "1s")
    lock = services.home / "data" / ".writer.lock.holder"
    deadline = time.monotonic() + 200
    while not (lock.exists() and json.loads(lock.read_text())["driver"] == running.pid):
        assert time.monotonic() < deadline
        time.sleep(0.5)
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
