"""Whatever fails while a feed is sent closes it in order: nothing undelivered is lost, and the totals are true."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from topic_reader import EVENTS, control_totals, read_topic

from contracts.entities import load_entities, load_entity
from contracts.model import PAYMENTS
from control.offsets import end_offsets
from core.kafka_login import KafkaPlace
from data_generator import card_file, undelivered
from data_generator.book import FeedBook
from data_generator.card_file import CardFile
from data_generator.control_totals import ControlTotalSender
from data_generator.delivery import Delivery, Message, producer_settings
from data_generator.errors import (
    BrokenFeedError,
    BrokerError,
    KaggleFileError,
    LeftoverError,
    MessageError,
    ResendFileError,
    UndeliveredError,
)
from data_generator.events import Event
from data_generator.gateway import Lane, Pace, close, send_feed
from data_generator.produce import Context, open_delivery
from data_generator.progress import say
from data_generator.resend import _remove, resend
from data_generator.stopping import Stop

PRODUCER = Path(__file__).parents[1] / "producer.py"
LARGEST = load_entity(PAYMENTS).topic.max_message_bytes


def event(value: bytes | None) -> Event:
    return Event("payment", b"key", value, "2026-11-01T00:00:00+00:00", "INR", 100, None)


def away() -> Delivery:
    """Return a delivery to a broker that is not there."""
    settings = producer_settings("127.0.0.1:1", "password", LARGEST)
    return Delivery(settings, EVENTS, Stop(), lambda *_: None, lambda _: None)


def surroundings(folder: Path, broker: str = "127.0.0.1:1") -> Context:
    entities = {each.name: each for each in load_entities()}
    return Context(entities, KafkaPlace(broker), "password", "key", folder / "undelivered", Stop())


def test_an_event_that_no_broker_would_take_is_saved_with_those_under_way(tmp_path: Path) -> None:
    delivery, book = away(), FeedBook("run", load_entity(PAYMENTS))
    events = [event(b"1"), event(b"2"), event(b"x" * (LARGEST + 1)), event(b"4")]
    pace = Pace(0, delivery.poll, Stop())
    with pytest.raises(MessageError, match=r"event 3 cannot be sent: .*too large"):
        send_feed(
            events, {PAYMENTS: Lane(book, delivery)}, pace, stop=Stop(), show=lambda *_: None, note=lambda _: None
        )
    assert (book.built, delivery.waiting) == (3, 3)
    delivery._stop.request()
    delivery._stop.request()
    file = tmp_path / "undelivered" / "run.jsonl"
    totals_sender = ControlTotalSender(book, delivery)
    with pytest.raises(UndeliveredError) as caught:
        close(delivery, file, BrokenFeedError(3, KeyError("x")), rebuild="", totals_sender=totals_sender)
    assert caught.value.count == 3
    messages, closing = undelivered.load(file, 2 * LARGEST)
    assert [message.value for message in messages] == [b"1", b"2", b"x" * (LARGEST + 1)]
    assert closing is not None
    assert (closing.seq, closing.closed) == (3, True)


def test_an_event_that_waits_for_room_is_not_lost_when_the_broker_refuses() -> None:
    delivery = away()

    class Full:
        def produce(self, *_: Any, **__: Any) -> None:
            raise BufferError

        def poll(self, _: float) -> None:
            delivery._refusal = "does not allow it"

        def purge(self) -> None:
            pass

    delivery._producer = Full()
    with pytest.raises(BrokerError, match="does not allow it"):
        delivery.send(1, Message(b"k", b"v", []))
    assert delivery.give_up() == [Message(b"k", b"v", [])]


def test_a_feed_that_fails_is_closed_with_what_was_built(tmp_path: Path) -> None:
    def feed() -> Iterator[Event]:
        yield event(b"1")
        yield event(b"2")
        raise OverflowError("date value out of range")

    taken: list[int] = []

    class Taking:
        waiting = 0

        def send(self, number: int, _: Message) -> bool:
            taken.append(number)
            book.acknowledge(number, 0, number)
            return True

        def poll(self, _: float) -> None: ...
        def finish(self) -> None: ...
        def give_up(self) -> list[Message]:
            return []

    book, channel = FeedBook("run", load_entity(PAYMENTS)), Taking()
    with pytest.raises(OverflowError):
        send_feed(
            feed(),
            {PAYMENTS: Lane(book, channel)},
            Pace(0, channel.poll, Stop()),
            stop=Stop(),
            show=print,
            note=lambda _: None,
        )
    broken = BrokenFeedError(book.built, OverflowError("date value out of range"))
    with pytest.raises(BrokenFeedError, match="broke off behind event 2: OverflowError: date value out of range"):
        close(channel, tmp_path / "f", broken, rebuild="", totals_sender=ControlTotalSender(book, None))
    assert taken == [1, 2]
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("changed", ["", "header", "fewer", "damaged"])
def test_a_file_that_changes_while_it_is_read_again_ends_the_feed(
    tmp_path: Path, sound: dict[str, str], as_csv: Callable[..., str], monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    monkeypatch.setattr(card_file, "KEPT_ROWS", 2)
    path = tmp_path / "cards.csv"
    path.write_text(as_csv([sound] * 5))
    file = CardFile(path, 0, print)
    file.check()
    assert len(list(file.rows())) == 5
    texts = {"": "", "header": as_csv([]), "fewer": as_csv([sound] * 4), "damaged": as_csv([sound | {"amt": "x"}] * 5)}
    path.write_text(texts[changed])
    with pytest.raises(KaggleFileError, match=r"has changed since it was checked|no column"):
        list(file.rows())


def test_settings_that_the_client_does_not_take_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="KAFKA_BOOTSTRAP is <U"):
        open_delivery(surroundings(tmp_path, "\udcff:1"), load_entity(PAYMENTS), lambda *_: None)


def test_nobody_reading_what_is_said_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, _: str) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    say("text")


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_a_file_to_resend_without_events_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_bytes(content)
    with pytest.raises(ResendFileError, match="nothing was sent"):
        resend(file, surroundings(tmp_path))
    assert file.exists()


def test_a_file_that_could_not_be_removed_is_refused_before_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.jsonl"
    undelivered.save(file, [Message(b"k", b"v", [])])
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    with pytest.raises(ResendFileError, match="could not be removed afterwards"):
        resend(file, surroundings(tmp_path))


def test_a_file_that_stays_although_all_of_it_was_sent_says_not_to_send_it_again(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    error = _remove(tmp_path / "a b")
    assert isinstance(error, LeftoverError)
    assert "do not send them again" in str(error)
    assert error.next == f"rm -- '{tmp_path}/a b'"


@pytest.mark.services
def test_a_file_that_is_cut_off_while_it_is_sent_leaves_a_closed_feed(
    services: Any, tmp_path: Path, sound: dict[str, str], as_csv: Callable[..., str]
) -> None:
    path = tmp_path / "cards.csv"
    path.write_text(as_csv([sound | {"trans_num": f"{n:x}", "merchant": "fraud_A"} for n in range(60_000)]))
    starts = end_offsets(services.env, EVENTS)
    command = [sys.executable, str(PRODUCER), "--json", "--kaggle", str(path), "--mix", "1", "--timeline", "original"]
    producer = subprocess.Popen(
        [*command, "--rate", "400", "--total", "all"],
        env={**os.environ, **services.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while sum(end_offsets(services.env, EVENTS).values()) - sum(starts.values()) < 100:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with path.open("r+") as file:
        file.truncate(20_000)
    out, err = producer.communicate(timeout=60)
    assert producer.returncode == 1
    assert "Traceback" not in err
    assert "the feed broke off behind event" in err
    summary = json.loads(out)
    records = list(read_topic(services.env, EVENTS, starts))
    assert len(records) == summary["acknowledged"] == summary["events"] >= 100
    closing = control_totals(services.env, summary["run"])[-1]
    assert (closing.closed, closing.seq) == (True, len(records))
    assert summary["closed"] is True


@pytest.mark.services
def test_a_resend_is_sent_once_and_an_unsendable_line_is_named_before(services: Any, tmp_path: Path) -> None:
    starts = end_offsets(services.env, EVENTS)
    lines = [
        {"key": "k", "headers": [["run", "resent"], ["seq", str(n)], ["odd", None]], "value_base64": "e30="}
        for n in range(1, 4)
    ]
    file = tmp_path / "ä b.jsonl"
    large = {**lines[0], "value_base64": base64.b64encode(b"x" * LARGEST).decode()}
    file.write_text("".join(json.dumps(line) + "\n" for line in [*lines, large]))
    command = [sys.executable, str(PRODUCER), "--json", "--resend", str(file)]
    env = {**os.environ, **services.env, "LC_ALL": "C"}
    refused = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "line 4: not an undelivered event: it has 8,3" in refused.stderr
    assert end_offsets(services.env, EVENTS) == starts
    file.write_text("\ufeff" + "".join(json.dumps(line) + "\r\n" for line in lines), encoding="utf-8")
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not file.exists()
    records = list(read_topic(services.env, EVENTS, starts))
    assert sorted(record.headers["seq"] for record in records) == [b"1", b"2", b"3"]


@pytest.mark.services
def test_an_event_that_the_broker_refuses_for_good_ends_the_run_and_is_saved(services: Any, tmp_path: Path) -> None:
    """A delivery report with an error is the client's last word: waiting for another would take for ever."""
    settings = producer_settings(services.env["KAFKA_BOOTSTRAP"], services.env["KAFKA_PASSWORD_GATEWAY"], 2 * LARGEST)
    stop = Stop()
    delivery = Delivery(settings, EVENTS, stop, lambda *_: None, print)
    assert delivery.connect()
    previous = signal.signal(signal.SIGALRM, stop.request)
    signal.alarm(30)
    try:
        delivery.send(1, Message(b"k", os.urandom(LARGEST + 1_000), []))
        with pytest.raises(BrokerError, match="does not take event 1"):
            delivery.finish()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    assert len(delivery.give_up()) == 1
