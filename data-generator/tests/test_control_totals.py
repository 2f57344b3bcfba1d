"""What the gateway says of its feed on the topic of control totals."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from topic_reader import CONTROL, control_totals

from contracts.control_total import ControlTotal, parse_control_total
from contracts.entities import load_entities, load_entity
from contracts.model import PAYMENTS
from control.offsets import end_offsets
from core.kafka_login import KafkaPlace
from data_generator import undelivered
from data_generator.book import FeedBook
from data_generator.control_totals import ControlTotalSender
from data_generator.feed import Feed
from data_generator.plan import Plan
from data_generator.produce import Context
from data_generator.resend import resend
from data_generator.stopping import Stop

PRODUCER = Path(__file__).parents[1] / "producer.py"


class Said:
    """Takes what an totals_sender tells."""

    topic_id: str | None = "topic"

    def __init__(self) -> None:
        self.totals: list[ControlTotal] = []
        self.busy = False

    def send_control_total(self, topic: str, key: bytes, value: bytes) -> bool:
        assert (topic, key) == ("transactions.control", b"run")
        if not self.busy:
            self.totals.append(parse_control_total(value))
        return not self.busy

    def control_total_sent(self) -> str | None:
        return "the broker is away" if self.busy else None


def test_a_total_covers_what_is_acknowledged_up_to_the_first_hole(
    plan: Callable[..., Plan], feed: Callable[..., Feed]
) -> None:
    book, said, clock = FeedBook("run", load_entity(PAYMENTS)), Said(), [0.0]
    totals_sender = ControlTotalSender(book, said, lambda: clock[0])
    events = list(feed(plan(total=200)))
    for event in events:
        book.enter(event)
    for number in (1, 2, 3, 5):
        book.acknowledge(number, number % 6, number)
    totals_sender.tick()
    assert said.totals == []
    clock[0] = 10.0
    totals_sender.tick()
    totals_sender.tick()
    (first,) = said.totals
    assert (first.seq, first.closed, first.topic_id) == (3, False, "topic")
    assert first.last_offsets == {1: 1, 2: 2, 3: 3, 5: 5}
    clock[0] = 20.0
    totals_sender.tick()
    assert len(said.totals) == 1, "there is nothing new to say"
    for number in {*range(4, len(events) + 1)} - {5}:
        book.acknowledge(number, number % 6, number)
    assert totals_sender.close() is None
    last = said.totals[-1]
    assert (last.seq, last.closed, totals_sender.closed) == (len(events), True, True)
    amounts = [json.loads(event.value or b"", parse_float=Decimal)["amount"] for event in events]
    assert sum(money.amount for money in (last.amounts or {}).values()) == sum(amounts, Decimal(0))


def test_a_closing_total_that_the_broker_does_not_take_is_no_end(
    plan: Callable[..., Plan], feed: Callable[..., Feed]
) -> None:
    book, said = FeedBook("run", load_entity(PAYMENTS)), Said()
    totals_sender = ControlTotalSender(book, said)
    assert totals_sender.close() is None, "a feed without events has nothing to close"
    book.enter(next(iter(feed(plan(total=1)))))
    said.busy = True
    assert totals_sender.close() == "the broker is away"
    assert not totals_sender.closed


def produce(services: Any, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(PRODUCER), *options, "--json"]
    env = {**os.environ, **services.env}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.services
def test_the_last_word_of_a_feed_is_its_summary(services: Any) -> None:
    out, err = produce(services, "--total", "2000", "--timeline", "last:30d", "--faults", "0.1").communicate(
        timeout=120
    )
    summary = json.loads(out)
    assert summary["closed"], err
    last = control_totals(services.env, summary["run"])[-1]
    assert (last.closed, last.seq, last.broken) == (True, summary["events"], summary["broken_on_purpose"])
    amounts = {c: {"count": m.count, "amount": str(m.amount)} for c, m in (last.amounts or {}).items()}
    assert amounts == summary["amounts"]
    assert {str(p): o for p, o in last.last_offsets.items()} == summary["last_offsets"]
    assert last.topic_id


@pytest.mark.services
def test_a_killed_feed_has_totals_and_no_closing_one(services: Any) -> None:
    before = end_offsets(services.env, CONTROL)
    producer = produce(services, "--rate", "100")
    deadline = time.monotonic() + 60
    while end_offsets(services.env, CONTROL) == before:
        assert time.monotonic() < deadline, "no control total within 60 s"
        time.sleep(0.3)
    producer.kill()
    _, err = producer.communicate(timeout=60)
    run = err.split("feed ")[1].split(":")[0]
    found = control_totals(services.env, run)
    assert found
    assert not any(total.closed for total in found)
    assert [total.seq for total in found] == sorted({total.seq for total in found})


@pytest.mark.parametrize(("run", "sent"), [("partner-7", 1), ("gateway-1", 1), ("redrive-1", 0)])
def test_a_resend_tells_of_the_gateways_own_feeds_only(
    run: str, sent: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing(Said):
        topic_id = None

        def connect(self) -> bool:
            return True

        def finish(self) -> None:
            pass

        def give_up(self) -> list[Any]:
            return []

        def send_control_total(self, topic: str, key: bytes, value: bytes) -> bool:
            assert (topic, key) == ("transactions.control", run.encode())
            self.totals.append(parse_control_total(value))
            return True

    channel = Nothing()
    monkeypatch.setattr("data_generator.resend.open_delivery", lambda *_: channel)
    file = tmp_path / "left.jsonl"
    undelivered.save(file, [], ControlTotal(run, 1, True, None, {0: 1}))
    context = Context({each.name: each for each in load_entities()}, KafkaPlace(""), "", "", tmp_path, Stop())
    outcome = resend(file, context)
    assert (outcome.error, len(channel.totals), outcome.summary["closed"]) == (None, sent, bool(sent))
