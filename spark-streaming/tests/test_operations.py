"""What an operator meets: expired offsets, care of the tables, a topic made anew, a full disk. On a platform apart."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import psutil
import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from deltalake import DeltaTable
from real_stream import delivered, ended, offsets_in_lake, produce, stream, tieout

from contracts.entities import load_entities
from control.testing import temporary_platform
from control.topics import ensure_topics
from core.kafka_login import librdkafka_login

# Drills of minutes: each start of Spark costs ten seconds and more.
pytestmark = [pytest.mark.services, pytest.mark.slow]
TABLES = ("raw_transactions", "dead_letter_queue")


@pytest.fixture(scope="module")
def platform() -> Iterator[Any]:
    with temporary_platform() as handle:
        yield handle


def broker(platform: Any) -> AdminClient:
    env = platform.env
    return AdminClient(librdkafka_login(env["KAFKA_BOOTSTRAP"], "admin", env["KAFKA_PASSWORD_ADMIN"]))


def expire(platform: Any, partition: int, end: int) -> None:
    """Let the broker forget the offsets before `end`, as retention does."""
    admin = broker(platform)  # it must live as long as its answer is awaited
    [done] = admin.delete_records([TopicPartition("transactions", partition, end)]).values()
    assert done.result(30).low_watermark == end


def last_metadata(platform: Any, table: str) -> dict[str, Any]:
    history = DeltaTable(str(platform.home / "data" / table)).history()
    found: dict[str, Any] = next(json.loads(c["userMetadata"]) for c in history if c.get("userMetadata"))
    return found


def check(platform: Any, *missing: range) -> None:
    """Every offset of the topic is in the lake once, but for partition 0's missing ones."""
    gone = {offset for offsets in missing for offset in offsets}
    ends = delivered(platform.env)
    wanted = {(p, offset) for p, end in ends.items() for offset in range(end) if p or offset not in gone}
    found = offsets_in_lake(platform.home)
    assert wanted
    assert set(found) == wanted
    assert set(found.values()) == {1}


def test_a_fresh_lake_begins_at_what_retention_has_left_and_lost_offsets_must_be_accepted(platform: Any) -> None:
    produce(platform.env, 600)
    expire(platform, 0, 10)
    code, log = ended(stream(platform.env, "--once"))
    assert code == 0, log
    check(platform, range(10))
    behind = delivered(platform.env)[0]
    produce(platform.env, 600, first=1000)
    expire(platform, 0, behind + 7)
    code, log = ended(stream(platform.env, "--once"))
    assert (code, "Traceback" in log) == (78, False), log
    command = re.search(r"--accept-loss (0:\d+-\d+) --reason", log)
    assert command is not None, log
    assert command[1] == f"0:{behind}-{behind + 7}"
    code, log = ended(stream(platform.env, "--once", "--accept-loss", command[1], "--reason", "small disk"))
    assert code == 0, log
    check(platform, range(10), range(behind, behind + 7))
    for table in TABLES:
        history = DeltaTable(str(platform.home / "data" / table)).history()
        lost = [json.loads(c["userMetadata"]).get("lost") for c in history if c.get("userMetadata")]
        assert [{"partition": 0, "from": behind, "to": behind + 7, "reason": "small disk"}] in lost


def test_maintenance_runs_alone_and_within_the_running_stream_which_listens_on_loopback_only(platform: Any) -> None:
    alone = tieout(platform.env, "maintain", "--json")
    answer, log = alone.communicate(timeout=400)
    assert alone.returncode == 0, log
    found = json.loads(answer)
    assert found.pop("expired") == {"dead_letters": 0, "loads": 0, "proof_rows": 0}
    assert [done["watermark"] for done in found.values()] == [None] * 4
    before = offsets_in_lake(platform.home)
    with psycopg.connect(
        host="127.0.0.1", port=platform.env["POSTGRES_PORT"], dbname=platform.env["POSTGRES_DB"], user="loader",
        password=platform.env["POSTGRES_PASSWORD_LOADER"],
    ) as warehouse:  # fmt: skip
        for table in TABLES:
            lake = DeltaTable(str(platform.home / "data" / table))
            warehouse.execute(
                "insert into metadata.load_watermark (lake_table, table_id, version, ends) values (%s, %s, %s, '{}')",
                [table, str(lake.metadata().id), lake.version()],
            )
    running = stream(platform.env, "--trigger", "1s")
    holder = platform.home / "data" / ".writer.lock.holder"
    deadline = time.monotonic() + 200
    while not (holder.exists() and json.loads(holder.read_text() or "{}").get("driver") == running.pid):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    within = tieout(platform.env, "maintain", "--json")
    answer, log = within.communicate(timeout=400)
    assert within.returncode == 0, log
    passed = {name: done["watermark"] for name, done in json.loads(answer).items() if name != "expired"}
    assert min(passed["bronze"], passed["dead_letters"]) > 0
    assert (passed["bronze_refunds"], passed["dead_letters_refunds"]) == (None, None)
    family = [psutil.Process(running.pid), *psutil.Process(running.pid).children(recursive=True)]
    listening = {c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert listening
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    running.send_signal(signal.SIGTERM)
    code, log = ended(running)
    assert (code, "maintenance begins" in log) == (0, True), log
    assert offsets_in_lake(platform.home) == before


def test_a_topic_made_anew_stops_the_stream_until_it_is_accepted(platform: Any) -> None:
    before = offsets_in_lake(platform.home)
    admin = broker(platform)
    [done] = admin.delete_topics(["transactions"]).values()
    done.result(30)
    time.sleep(3)
    ensure_topics(platform.env, load_entities())
    produce(platform.env, 300)
    code, log = ended(stream(platform.env, "--once"))
    assert (code, "Traceback" in log) == (78, False), log
    command = re.search(r"--accept-topic (\S+) --reason", log)
    assert command is not None, log
    assert offsets_in_lake(platform.home) == before
    code, log = ended(stream(platform.env, "--once", "--accept-topic", command[1], "--reason", "broker was lost"))
    assert code == 0, log
    assert sum((offsets_in_lake(platform.home) - before).values()) == 300
    assert last_metadata(platform, "raw_transactions")["topic_id"] == command[1]


def test_a_full_disk_is_one_clear_error_and_the_stream_goes_on_when_there_is_room(platform: Any) -> None:
    data = platform.home / "data"
    if os.geteuid() != 0:
        pytest.skip("A DISK THAT IS FULL IS NOT TESTED: only root can mount a small one")
    owner = data.stat()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", data], check=False)
    if mounted.returncode:
        pytest.skip("A DISK THAT IS FULL IS NOT TESTED: this machine does not let root mount one")
    try:
        os.chown(data, owner.st_uid, owner.st_gid)
        env = {**platform.env, "MAX_OFFSETS_PER_TRIGGER": "2000"}
        produce(env, 12_000, padding=600)
        code, log = ended(stream(env, "--once"))
        assert (code, "Traceback" in log) == (1, False), log
        assert "There is no space left on the lake's disk" in log
        found = offsets_in_lake(platform.home)
        assert found
        assert set(found.values()) == {1}
        subprocess.run(["mount", "-o", "remount,size=200m", data], check=True)
        code, log = ended(stream({**env, "MAX_OFFSETS_PER_TRIGGER": "20000"}, "--once"))
        assert code == 0, log
        check(platform)
    finally:
        subprocess.run(["umount", "-l", data], check=False)
        shutil.rmtree(data / "checkpoints", ignore_errors=True)
