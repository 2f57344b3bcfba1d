"""The engine on a real broker and a real database: killed, repeated, opened with gold, compared with gold."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from at_work import TOTALS, count, rows, settings, verdict, wait_for
from confluent_kafka import Consumer, TopicPartition
from small_gold import CHANNELS, forget_everything, produce, random_messages, superuser, taken, write_gold, write_silver

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from control.offsets import end_offsets, topic_id
from control.roles import dsn
from control.testing import temporary_platform
from core.errors import OutageError
from core.kafka_login import librdkafka_login
from core.layout import find_layout
from live import engine
from live.alerts.explain import explain
from live.batch import take
from live.drift import COMPARED
from live.engine import Engine, connect
from live.events import EPOCH, Event, EventReader, Message, Place
from live.gold import snapshot

pytestmark = pytest.mark.services

SENT = 700


@pytest.fixture(scope="module")
def env() -> Iterator[Mapping[str, str]]:
    """A platform of their own: what other tests have left in topic and silver is not what is counted here."""
    with temporary_platform() as own:
        produce(own.env, random_messages(7, SENT))
        yield own.env


def live(env: Mapping[str, str], failpoint: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own, killed at the failpoint."""
    changed = {"LIVE_BATCH_EVENTS": "100", "TIEOUT_FAILPOINT": failpoint}
    command = [sys.executable, "-P", "-m", "control", "live", "--once"]
    return subprocess.run(
        command, env=os.environ | env | changed, cwd="/", capture_output=True, text=True, timeout=300, check=False
    )


ALERTS = "select alert_id, rule_code, transaction_id, status, evidence from live.alerts order by 1"
LIVE_PAYMENTS = 'select transaction_id, status, has_pending, amount, partition, "offset" from live.payments order by 1'


def messages(env: Mapping[str, str]) -> list[Event]:
    """Return all events of the topic, read as the auditor, by partition and offset."""
    topic, reader = topic_id(env, "transactions"), EventReader(load_entity(PAYMENTS))
    consumer = Consumer(
        {
            **librdkafka_login(env["KAFKA_BOOTSTRAP"], "auditor", env["KAFKA_PASSWORD_AUDITOR"]),
            "group.id": "auditor-live-test",
            "enable.auto.commit": False,
        }
    )
    ends = end_offsets(env, "transactions")
    consumer.assign([TopicPartition("transactions", partition, 0) for partition in ends])
    found: list[Message] = []
    while len(found) < sum(ends.values()):
        for message in consumer.consume(1000, 5):
            assert message.error() is None
            place = Place(topic, message.partition() or 0, message.offset() or 0)
            arrived_at = EPOCH + timedelta(milliseconds=message.timestamp()[1])
            found.append(Message(place, arrived_at, message.value(), message.headers() or ()))
    consumer.close()
    return reader.read(found)


def test_a_kill_before_and_behind_a_commit_counts_nothing_twice(env: Mapping[str, str]) -> None:
    forget_everything(env)
    count(env)
    whole = [rows(env, query) for query in (TOTALS, ALERTS, LIVE_PAYMENTS)]
    assert all(len(part) > 5 for part in whole)
    assert len({row[1] for row in whole[1]}) >= 4

    forget_everything(env)
    for failpoint in ("live.before-commit:2", "live.after-commit", "live.before-commit:1"):
        assert live(env, failpoint).returncode == -signal.SIGKILL
    done = live(env)
    assert done.returncode == 0, done.stderr
    assert "leaked" not in done.stderr, "what DuckDB's binding says of objects that are not collected"
    assert [rows(env, query) for query in (TOTALS, ALERTS, LIVE_PAYMENTS)] == whole
    positions = dict(rows(env, "select partition, next_offset from live.positions"))
    assert positions == end_offsets(env, "transactions")
    assert rows(env, "select sum(events) from live.arrivals") == [(sum(positions.values()),)]
    assert rows(env, "select count(*) from live.alerts where published_at is null") == [(0,)]


def test_alerts_are_on_their_topic_keyed_by_their_id(env: Mapping[str, str]) -> None:
    consumer = Consumer(
        librdkafka_login(env["KAFKA_BOOTSTRAP"], "admin", env["KAFKA_PASSWORD_ADMIN"]) | {"group.id": "admin-live-test"}
    )
    _, end = consumer.get_watermark_offsets(TopicPartition("transactions.alerts", 0), timeout=20)
    assert end > 0
    consumer.assign([TopicPartition("transactions.alerts", 0, 0)])
    found: dict[int, Any] = {}
    while len(found) < end:
        for message in consumer.consume(1000, 5):
            found[message.offset()] = (message.key(), json.loads(message.value() or b"{}"))
    consumer.close()
    raised = {row[0] for row in rows(env, ALERTS)}
    assert raised
    assert raised <= {value["alert_id"] for _, value in found.values()}
    assert all(key == value["alert_id"].encode() for key, value in found.values())
    values: dict[str, Any] = {}
    for _, value in found.values():
        assert values.setdefault(value["alert_id"], value) == value, "sent again with another content"


@pytest.mark.parametrize(
    "share", [pytest.param(0.0, marks=pytest.mark.slow), 0.4, pytest.param(1.0, marks=pytest.mark.slow)]
)
def test_opened_with_gold_the_totals_are_those_of_a_whole_count_and_gold_agrees(
    env: Mapping[str, str], share: float
) -> None:
    forget_everything(env)
    count(env)
    whole = rows(env, TOTALS)
    everything, ends = messages(env), end_offsets(env, "transactions")
    cut = {partition: int(end * share) for partition, end in ends.items()}
    first = take([e for e in everything if e.place.offset < cut[e.place.partition]], {}, set(), CHANNELS)
    last = take(everything, {}, set(), CHANNELS)
    with superuser(env) as connection:
        write_silver(connection, taken(first))
        write_gold(connection, topic_id(env, "transactions"), cut)
    count(env, restart_from_gold=True)
    assert rows(env, TOTALS) == whole
    assert verdict(env) == "OK"
    known = {event.place for event in taken(first)}
    with superuser(env) as connection:
        write_silver(connection, [event for event in taken(last) if event.place not in known])
        write_gold(connection, topic_id(env, "transactions"), ends)
    count(env)
    assert verdict(env) == "OK"
    assert {row[0] for row in rows(env, "select verdict from live.checks")} == {"OK"}
    assert rows(env, "select count(*) from live.changes") == [(0,)], "covered changes are forgotten"
    drift = rows(env, "select drift_count, drift_amount from live.drift")
    assert drift
    assert all(row == (0, 0) for row in drift)


def test_what_silver_holds_beyond_the_positions_is_not_counted_already(env: Mapping[str, str]) -> None:
    forget_everything(env)
    everything = take(messages(env), {}, set(), CHANNELS)
    with superuser(env) as connection:
        write_silver(connection, taken(everything))
    count(env)
    counted = rows(env, "select status, sum(count) from live.totals group by 1 having sum(count) <> 0 order by 1")
    latest = rows(
        env,
        """
        select status, count(*) from (
            select distinct on (transaction_id) status from raw.transactions order by transaction_id, status = 'PENDING'
        ) as latest group by 1 order by 1
    """,
    )
    assert counted == latest
    assert latest


@pytest.mark.slow
def test_a_payment_that_was_forgotten_settles_by_what_silver_says_of_it(env: Mapping[str, str]) -> None:
    forget_everything(env)
    count(env)
    with superuser(env) as connection:
        write_silver(connection, taken(take(messages(env), {}, set(), CHANNELS)))
        (pending,) = connection.execute(
            "select transaction_id from live.payments where status = 'PENDING' limit 1"
        ).fetchone() or ("",)
        value = next(e for e in messages(env) if e.fields and e.fields.get("transaction_id") == pending)
        connection.execute("truncate live.payments")
    before = dict(rows(env, "select status, sum(count) from live.totals group by 1"))
    made = (value.occurred_at or EPOCH).isoformat()
    settled = {**(value.fields or {}), "timestamp": made, "status": "SUCCESS", "amount": 0}
    text = json.dumps(settled).replace('"amount": 0', f'"amount": {value.amount}').encode()
    produce(env, [(value.text("customer_id").encode(), text), (value.text("customer_id").encode(), text)])
    count(env)
    after = dict(rows(env, "select status, sum(count) from live.totals group by 1"))
    assert after == before | {"PENDING": before["PENDING"] - 1, "SUCCESS": before["SUCCESS"] + 1}
    assert rows(env, "select status from live.payments where transaction_id = %s", pending) == [("SUCCESS",)]


def test_totals_that_are_not_golds_are_found(env: Mapping[str, str]) -> None:
    forget_everything(env)
    with superuser(env) as connection:
        write_silver(connection, taken(take(messages(env), {}, set(), CHANNELS)))
        write_gold(connection, topic_id(env, "transactions"), end_offsets(env, "transactions"))
    count(env)
    with superuser(env) as connection:
        connection.execute(
            "update live.totals set amount = amount + 0.01 where ctid = (select min(ctid) from live.totals)"
        )
    assert verdict(env) == "DIFFERENT"


def test_an_alert_is_computed_again_from_silver_and_a_changed_payment_is_told(env: Mapping[str, str]) -> None:
    forget_everything(env)
    count(env)
    raised = rows(env, "select rule_code, min(alert_id) from live.alerts group by 1")
    assert len(raised) >= 4
    assert explained(env, raised[0][1]) == "WAITING"
    with superuser(env) as connection:
        write_silver(connection, taken(take(messages(env), {}, set(), CHANNELS)))
    assert {explained(env, alert_id) for _, alert_id in raised} == {"EQUAL"}
    alert_id = next(alert_id for code, alert_id in raised if code == "AMOUNT_OVER_LIMIT")
    with superuser(env) as connection:
        connection.execute(
            "update raw.transactions t set amount = t.amount + 1 from live.alerts a where a.alert_id = %s "
            'and (t.partition, t."offset") = (a.partition, a."offset")',
            [alert_id],
        )
    assert explained(env, alert_id) == "DIFFERENT"


def explained(env: Mapping[str, str], alert_id: str) -> str:
    return explain(alert_id[:20], settings(env)).verdict


@pytest.mark.slow
def test_an_engine_at_work_begins_anew_when_it_is_asked_to(
    env: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_everything(env)
    count(env)
    whole = rows(env, TOTALS)
    with superuser(env) as connection:
        connection.execute("update live.totals set count = count + 1")
        connection.execute("select pg_advisory_lock(1818850917)")
        monkeypatch.setattr(engine, "LOCK_WAIT_SECONDS", 0.3)
        count(env, restart_from_gold=True)
        assert rows(env, TOTALS) != whole
    count(env)  # asked before, it looks in its first seconds
    deadline = time.monotonic() + 60
    while rows(env, TOTALS) != whole and time.monotonic() < deadline:
        count(env)
    assert rows(env, TOTALS) == whole
    assert rows(env, "select restart_asked_at from live.opening") == [(None,)]


def test_two_engines_do_not_count_at_once(env: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOCK_WAIT_SECONDS", 0.3)
    with superuser(env) as connection:
        connection.execute("select pg_advisory_lock(1818850917)")
        with pytest.raises(OutageError, match=r"another live view is at work on this database: role postgres"):
            count(env)


def test_a_reader_sees_all_of_it(env: Mapping[str, str]) -> None:
    with psycopg.connect(dsn(env, "reader")) as connection:
        for table in ("positions", "totals", "payments", "seconds", "arrivals", "alerts", "checks", "drift"):
            connection.execute(f"select * from live.{table} limit 1".encode())


def test_the_totals_are_not_opened_anew_while_they_are_compared(env: Mapping[str, str]) -> None:
    chosen = settings(env)
    with closing(connect(chosen)) as comparing, closing(connect(chosen)) as opening:
        opening.execute("set lock_timeout = '200ms'")
        with snapshot(comparing, *COMPARED):
            for table in COMPARED:
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    opening.execute(f"truncate {table}".encode())


def test_counting_goes_on_while_the_comparison_with_gold_waits(env: Mapping[str, str]) -> None:
    forget_everything(env)
    count(env)
    ends = end_offsets(env, "transactions")
    with superuser(env) as connection:
        write_silver(connection, taken(take(messages(env), {}, set(), CHANNELS)))
        write_gold(connection, topic_id(env, "transactions"), ends)
        chosen = settings(env)
        with closing(connect(chosen)) as own:
            at_work = Engine(own, chosen, find_layout(), lambda _: None)
            thread = threading.Thread(target=at_work.run)
            with connection.transaction():
                connection.execute("lock table marts.fact_transactions in access exclusive mode")
                connection.execute("lock table live.checks in share mode")
                thread.start()
                time.sleep(1)
                produce(env, random_messages(8, 50))
                behind = end_offsets(env, "transactions")
                wait_for(lambda: dict(rows(env, "select partition, next_offset from live.positions")) == behind)
                assert rows(env, "select * from live.checks") == []
            wait_for(lambda: rows(env, "select verdict from live.checks") == [("OK",)])
            at_work.stopping = True
            thread.join()
