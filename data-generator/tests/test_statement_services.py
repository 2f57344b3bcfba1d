"""The gateway's statement when the gateway is interrupted: whole after Ctrl-C, completed after a kill."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.services

PRODUCER = Path(__file__).parents[1] / "producer.py"


def gateway(services: Any, start: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(PRODUCER), "--json", "--seed", "11", "--start", start, "--mix", "0", *options]
    env = {**os.environ, **services.env}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(what: Any) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def in_book(services: Any, day: str) -> int:
    path = services.home / "data" / "batch_files" / ".gateway-statements.sqlite"
    if not path.exists():
        return 0
    with sqlite3.connect(path, timeout=60) as db:
        try:
            counted = db.execute("select total(json_array_length(lines)) from batches where day = ?", (day,))
            return int(counted.fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def statement(services: Any, day: str) -> tuple[list[list[str]], list[list[str]]]:
    path = services.home / "data" / "batch_files" / f"gateway-{day}.csv"
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [row for row in rows if row[0] != "TOTAL"], [row for row in rows if row[0] == "TOTAL"]


def test_after_ctrl_c_the_statement_has_every_payment_that_was_sent(services: Any) -> None:
    day = "2022-02-02"
    producer = gateway(services, f"{day}T06:00:00Z", "--rate", "200")
    wait_until(lambda: in_book(services, day) > 100)
    producer.send_signal(signal.SIGINT)
    out, err = producer.communicate(timeout=120)
    assert producer.returncode == 0, err
    summary = json.loads(out)
    lines, footer = statement(services, day)
    assert len({row[0] for row in lines}) == len(lines) == summary["payments"] > 100
    assert [row[3] for row in footer] == [str(len(lines))] * 2
    assert sum(row[3] == "PENDING" for row in lines) == summary["still_pending"]


@pytest.mark.slow
def test_a_killed_gateway_leaves_no_half_written_file_and_the_same_feed_completes_it(services: Any) -> None:
    day = "2022-03-03"
    feed = (f"{day}T06:00:00Z", "--rate", "300", "--total", "600", "--faults", "0.1")
    producer = gateway(services, *feed)
    wait_until(lambda: in_book(services, day) > 150)
    producer.kill()
    producer.communicate(timeout=60)
    assert not (services.home / "data" / "batch_files" / f"gateway-{day}.csv").exists()
    again = gateway(services, *feed)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    lines, _ = statement(services, day)
    assert len({row[0] for row in lines}) == len(lines)
    broken = Counter(json.loads(out)["broken_on_purpose"])
    follow_ups = ("EXACT_RESEND", "CONFLICTING_DUPLICATE", "CONTRADICTING_STATUS", "SETTLEMENT_MISMATCH")
    replaced = broken.total() - sum(broken[kind] for kind in follow_ups)
    # A payment whose first event was broken is there all the same when its settlement was sound.
    assert 600 - replaced <= len(lines) < 600
