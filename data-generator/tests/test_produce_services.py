"""The gateway against a real broker; what confluent-kafka wrote, kafka-python reads back."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from topic_reader import EVENTS, Record, control_totals, read_topic

from control.offsets import end_offsets

pytestmark = pytest.mark.services

PRODUCER = Path(__file__).parents[1] / "producer.py"


def command(*options: str) -> list[str]:
    return [sys.executable, str(PRODUCER), *options, "--json"]


def environment(services: Any, **changes: str) -> dict[str, str]:
    return {**os.environ, **services.env, **changes}


def run(services: Any, *options: str, **changes: str) -> subprocess.CompletedProcess[str]:
    env = environment(services, **changes)
    return subprocess.run(command(*options), env=env, capture_output=True, text=True, timeout=120, check=False)


def background(services: Any, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*options), env=environment(services), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ends(services: Any) -> dict[int, int]:
    return end_offsets(services.env, EVENTS)


def since(services: Any, starts: dict[int, int]) -> list[Record]:
    return list(read_topic(services.env, EVENTS, starts))


def seqs(records: Sequence[Record]) -> list[int]:
    return sorted(int(record.headers["seq"]) for record in records)


def in_order_within_keys(records: Sequence[Record]) -> bool:
    last: dict[bytes | None, int] = {}
    for record in records:
        seq = int(record.headers["seq"])
        if last.get(record.key, 0) >= seq:
            return False
        last[record.key] = seq
    return bool(last)


def wait_for(services: Any, starts: dict[int, int], count: int) -> None:
    deadline = time.monotonic() + 60
    while sum(ends(services).values()) - sum(starts.values()) < count:
        assert time.monotonic() < deadline, f"no {count} events within 60 s"
        time.sleep(0.2)


def test_another_client_reads_back_every_event_with_key_headers_and_no_hole(services: Any) -> None:
    starts = ends(services)
    assert len(starts) == 6
    done = run(services, "--total", "3000", "--timeline", "last:30d", "--faults", "0.05", "--seed", "5")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    records = since(services, starts)
    assert summary["events"] == summary["acknowledged"] == len(records) > 3000
    assert seqs(records) == list(range(1, len(records) + 1))
    assert {record.headers["run"].decode() for record in records} == {summary["run"]}
    assert {record.headers["contract"] for record in records} == {b"1.1.0"}
    assert all(record.headers["status_at"] for record in records)
    assert in_order_within_keys(records)
    last = {str(p): max(r.offset for r in records if r.partition == p) for p in {r.partition for r in records}}
    assert summary["last_offsets"] == last
    assert sum(record.value is None for record in records) == summary["broken_on_purpose"]["NULL_VALUE"]


def test_the_same_file_under_its_own_ids_gives_the_same_bytes_again(services: Any) -> None:
    values = []
    for _ in range(2):
        starts = ends(services)
        done = run(services, "--timeline", "original", "--mix", "1", "--total", "500")
        assert done.returncode == 0, done.stderr
        values.append(sorted((record.key, record.value) for record in since(services, starts)))
    assert len(values[0]) > 500
    assert values[0] == values[1]


def test_a_wrong_password_ends_with_one_clear_error(services: Any) -> None:
    starts = ends(services)
    done = run(services, "--total", "10", KAFKA_PASSWORD_GATEWAY="wrong")
    assert done.returncode == 1
    assert "refuses the login of user gateway" in done.stderr
    assert "Next:" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["ok"] is False
    assert ends(services) == starts


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_delivers_what_was_built_and_ends_well(services: Any, end: signal.Signals) -> None:
    starts = ends(services)
    producer = background(services, "--rate", "200")
    wait_for(services, starts, 100)
    producer.send_signal(end)
    out, err = producer.communicate(timeout=60)
    assert producer.returncode == 0, err
    records = since(services, starts)
    assert json.loads(out)["events"] == len(records) >= 100
    assert seqs(records) == list(range(1, len(records) + 1))


def test_a_broker_that_goes_away_and_comes_back_costs_no_event_and_doubles_none(services: Any) -> None:
    starts = ends(services)
    producer = background(services, "--rate", "300", "--total", "4500", "--timeline", "live")
    wait_for(services, starts, 300)
    services.stop("kafka")
    time.sleep(12)
    services.start("kafka")
    out, err = producer.communicate(timeout=120)
    assert producer.returncode == 0, err
    assert "waiting for the broker" in err
    records = since(services, starts)
    assert json.loads(out)["acknowledged"] == len(records) >= 4500
    assert seqs(records) == list(range(1, len(records) + 1))
    assert in_order_within_keys(records)


def test_events_that_cannot_be_delivered_are_saved_and_sent_later(services: Any) -> None:
    starts = ends(services)
    producer = background(services, "--rate", "200")
    wait_for(services, starts, 100)
    services.stop("kafka")
    time.sleep(2)
    producer.send_signal(signal.SIGTERM)
    out, err = producer.communicate(timeout=60)
    services.start("kafka")
    assert producer.returncode == 1
    summary = json.loads(out)
    saved = Path(summary["undelivered_file"])
    assert f"--resend {shlex.quote(str(saved))}" in err
    assert saved.stat().st_mode & 0o777 == 0o600
    # The last line is the feed's closing total, for the time when all of them are delivered.
    assert summary["undelivered"] == len(saved.read_text().splitlines()) - 1 > 0
    assert not summary["closed"]
    done = run(services, "--resend", str(saved))
    assert done.returncode == 0, done.stderr
    assert not saved.exists()
    assert json.loads(done.stdout)["closed"]
    closing = control_totals(services.env, summary["run"])[-1]
    assert (closing.closed, closing.seq) == (True, summary["events"])
    assert sum(money.count for money in (closing.amounts or {}).values()) == summary["events"]
    records = since(services, starts)
    # An event whose acknowledgement was lost is sent again under its number: at least once each, and nothing missing.
    assert sorted(set(seqs(records))) == list(range(1, summary["events"] + 1))
    assert {record.headers["run"].decode() for record in records} == {summary["run"]}


@pytest.mark.slow
def test_a_broker_that_is_not_there_is_waited_for(services: Any) -> None:
    producer = background(services, "--total", "10", "--broker", "127.0.0.1:1")
    time.sleep(14)
    assert producer.poll() is None
    producer.send_signal(signal.SIGTERM)
    _, err = producer.communicate(timeout=60)
    assert "waiting for the broker at 127.0.0.1:1" in err
    assert producer.returncode == 1
