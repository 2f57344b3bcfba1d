"""A full disk, and a broker's clock that is set back."""

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from contracts.entities import load_entity
from core.kafka_login import KafkaPlace, librdkafka_login
from drill.child import DrillError
from drill.harness import TOPIC, Harness
from drill.proving import Report, prove
from drill.round import Round

HOURS_BACK = 30
# Enough for the gateway to begin its statement, and too little for a batch.
ROOM = 131_072


def disk_full(harness: Harness, chance: Random, told: Report) -> None:
    """Let the lake's disk run full under the stream: the lake moves to a small disk of its own for a while."""
    harness.stop_stream()
    small = harness.layout.home / "small-disk"
    small.mkdir(exist_ok=True)
    if not _mounted(harness, small):
        told.notes.append(
            "a full disk was NOT drilled: only root can mount a small one, and this machine must allow it"
        )
        prove(harness, told)
        return
    try:
        subprocess.run(["mount", "--bind", small, harness.layout.data], check=True)
        try:
            _fill_and_go_on(harness, chance, told)
        finally:
            harness.stop_stream()
            # Lazily: a JVM that is about to end may still hold a file there.
            subprocess.run(["umount", "--lazy", harness.layout.data], check=True)
        _move(small, harness.layout.data)
    finally:
        subprocess.run(["umount", "--lazy", small], check=False)


def _mounted(harness: Harness, small: Path) -> bool:
    if os.geteuid() != 0:
        return False
    size = f"size={_bytes(harness.layout.data) * 2 + (24 << 20)}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", small], check=False).returncode:
        return False
    _move(harness.layout.data, small)
    return True


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


def _move(source: Path, target: Path) -> None:
    """Make target what source is, owners and modes with it."""
    for old in target.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)


def _fill_and_go_on(harness: Harness, chance: Random, told: Report) -> None:
    ballast = harness.layout.data / "ballast"
    stream = harness.ready_stream()
    harness.settle_lake()
    with ballast.open("wb") as file:
        file.write(bytes(max(0, shutil.disk_usage(harness.layout.data).free - ROOM)))
    words = Round(harness, chance).feed(total=3000)
    harness.start(*words).wait()  # its events arrive; the gateway's own statement finds no room either, and it says so
    code = stream.wait()
    if code == 0 or "There is no space left on the lake's disk" not in stream.log.read_text(encoding="utf-8"):
        told.differences.append(f"the stream did not say that its disk is full: {stream.last_words}")
    told.notes.append("the lake's disk ran full, and the stream said so")
    ballast.unlink()
    harness.do(*words)  # completes the statement, and doubles nothing
    prove(harness, told)


def clock_set_back(harness: Harness, chance: Random, told: Report) -> None:
    """Let events arrive as from a broker whose clock was set back by more than a day.

    No clock is touched: that would reach every program of the machine. The topic takes the sender's times for a while,
    so that arrivals go back as they would; clocks of loader and database go on as they were.
    """
    harness.do(*Round(harness, chance).feed())
    harness.settle_lake()
    _timestamps(harness.settings, "CreateTime")
    try:
        sent = _send_back(harness.settings, some_values(harness.settings), chance)
    finally:
        _timestamps(harness.settings, "LogAppendTime")
    harness.do(*Round(harness, chance).feed())
    told.notes.append(f"{sent} events arrived {HOURS_BACK} hours before those in front of them")
    prove(harness, told, refresh=True)


def _login(settings: Mapping[str, str]) -> dict[str, Any]:
    return {
        **librdkafka_login(KafkaPlace.of(settings), "admin", settings["KAFKA_PASSWORD_ADMIN"]),
        "log_level": 0,  # a connection that closes is no news
    }


def _timestamps(settings: Mapping[str, str], kind: str) -> None:
    from confluent_kafka.admin import (  # type: ignore[attr-defined]
        AdminClient,
        AlterConfigOpType,
        ConfigEntry,
        ConfigResource,
        ResourceType,
    )

    entry = ConfigEntry("message.timestamp.type", kind, incremental_operation=AlterConfigOpType.SET)
    admin = AdminClient(_login(settings))
    (done,) = admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, TOPIC, incremental_configs=[entry])]
    ).values()
    done.result(30)
    time.sleep(1)  # the broker takes a changed setting up a moment after it has confirmed it


def some_values(settings: Mapping[str, str], wanted: int = 200) -> list[bytes]:
    """Return some well-formed events as they stand in the topic."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer(
        {**_login(settings), "group.id": "drill", "enable.auto.commit": False, "isolation.level": "read_committed"}
    )
    partitions = consumer.list_topics(TOPIC, timeout=30).topics[TOPIC].partitions
    consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in partitions])
    found: list[bytes] = []
    try:
        deadline = time.monotonic() + 60
        while len(found) < wanted and time.monotonic() < deadline:
            for message in consumer.consume(500, timeout=1):
                value = message.value() or b""
                if message.error() is None and _is_payment(value):
                    found.append(value)
    finally:
        consumer.close()
    if not found:
        raise DrillError("the topic holds no payment.", "nothing was sent.", "./scripts/tieout drill")
    return found[:wanted]


def _is_payment(value: bytes) -> bool:
    try:
        event = json.loads(value)
    except ValueError:
        return False
    return isinstance(event, dict) and isinstance(event.get("transaction_id"), str)


def _send_back(settings: Mapping[str, str], values: list[bytes], chance: Random) -> int:
    """Send each event twice: as it was, and under a new id; all of them with an arrival of long ago."""
    from confluent_kafka import Producer

    # Among the events may be one that is broken by its size.
    producer = Producer({**_login(settings), "message.max.bytes": load_entity(TOPIC).topic.max_message_bytes})
    then = int((time.time() - HOURS_BACK * 3600) * 1000)
    for number, value in enumerate(values):
        event = json.loads(value)
        new = value.replace(event["transaction_id"].encode(), uuid.UUID(int=chance.getrandbits(128)).hex.encode())
        for each in (value, new):
            producer.produce(TOPIC, value=each, key=str(event.get("customer_id")).encode(), timestamp=then + number)
    if producer.flush(60):
        raise DrillError("the broker did not take the events.", "some were sent.", "./scripts/tieout drill")
    return 2 * len(values)
