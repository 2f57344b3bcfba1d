"""What other senders do to the topic, on a real broker: one event never stops the engine, no partition is left out."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from at_work import count, rows, running, settings, verdict, wait_for
from confluent_kafka import Producer
from kafka import KafkaProducer
from live_events import fields
from small_gold import CHANNELS, forget_everything, produce, superuser, taken, write_gold, write_silver

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from control.offsets import topic_id
from control.testing import temporary_platform
from control.topics import administrator
from core.kafka_login import kafka_python_login, librdkafka_login
from core.layout import find_layout
from live.alerts import watch
from live.alerts.explain import explain
from live.batch import take
from live.engine import Engine, connect
from live.events import Event, EventReader, Message, Place
from live.show import report_now

pytestmark = pytest.mark.services

SUCCESSFUL = "select sum(count), sum(amount) from live.totals where status = 'SUCCESS'"
MADE: dict[str, str] = {}
ASIDE = "select part, trouble from live.set_aside order by part"


@pytest.fixture(scope="module")
def env() -> Iterator[Mapping[str, str]]:
    with temporary_platform() as own:
        yield own.env


@pytest.fixture(autouse=True)
def nothing_counted(env: Mapping[str, str]) -> None:
    """Begin at the end of the topic, with totals of zero."""
    forget_everything(env)
    count(env)
    with superuser(env) as connection:
        for table in ("totals", "changes", "payments", "customers", "set_aside", "alerts"):
            connection.execute(f"delete from live.{table}".encode())


def send(env: Mapping[str, str], *payments: str) -> None:
    produce(env, [(b"c1", payment.encode()) for payment in payments])


def payment(name: str, amount: str = "10.00", **changed: Any) -> str:
    text = json.dumps(fields(name, amount=0, currency="INR", **changed)).replace('"amount": 0', f'"amount": {amount}')
    MADE[name] = text
    return text


def test_the_largest_amounts_are_counted_remembered_and_judged(env: Mapping[str, str]) -> None:
    amounts = ["1844674407370955.16", "1844674407370955.17", "922337203685477.5808", "9999999999999999.99"]
    send(env, *(payment(f"huge-{number}", text) for number, text in enumerate(amounts)))
    count(env)
    send(env, *(payment(f"later-{number}", str(10 + number)) for number in range(20)))
    count(env)
    send(env, payment("last", "9999999999999999.98"))
    count(env)
    sound = [Decimal(text) for text in amounts if not text.endswith("5808")]  # the rupee has two digits
    whole = sum(sound) + sum(range(10, 30)) + Decimal("9999999999999999.98")
    assert rows(env, SUCCESSFUL) == [(len(sound) + 21, whole)]
    assert rows(env, ASIDE) == []
    assert ("AMOUNT_FAR_ABOVE_HISTORY",) in rows(env, "select rule_code from live.alerts where transaction_id = 'last'")


def test_an_event_that_the_rules_cannot_judge_is_counted_and_shown(
    env: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = watch.judge

    def refuses(memory: Any, seen: Any, rules: Any) -> Any:
        if seen.transaction_id == "poison":
            raise OverflowError("customer Asha Iyer")
        return judge(memory, seen, rules)

    monkeypatch.setattr(watch, "judge", refuses)
    send(env, payment("before"), payment("poison"), payment("behind"), payment("again"))
    count(env)
    assert rows(env, SUCCESSFUL) == [(4, 40)]
    assert rows(env, ASIDE) == [("ALERTS", "OverflowError")], "the kind of the error, not what it says"
    assert rows(env, "select state ->> 'payments' from live.customers") == [("3",)]
    assert report_now(settings(env)).aside.alerts == 1


def test_an_event_that_the_database_refuses_is_passed_over_alone(env: Mapping[str, str]) -> None:
    with superuser(env) as connection:
        connection.execute("alter table live.payments add constraint hostile check (transaction_id <> 'poison')")
        try:
            send(env, *(payment(f"good-{number}") for number in range(7)), payment("poison"), payment("behind"))
            count(env)
        finally:
            connection.execute("alter table live.payments drop constraint hostile")
    assert rows(env, SUCCESSFUL) == [(8, 80)]
    assert rows(env, ASIDE) == [("COUNTING", "CheckViolation 23514")]
    count(env)
    assert rows(env, SUCCESSFUL) == [(8, 80)], "it is passed over for good"


def test_an_event_that_cannot_be_read_is_passed_over(env: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    together = EventReader._read_together

    def refuses(self: EventReader, messages: Sequence[Message]) -> Iterable[Event]:
        if any(b"poison" in (each.value or b"") for each in messages):
            raise RecursionError
        return together(self, messages)

    monkeypatch.setattr(EventReader, "_read_together", refuses)
    send(env, payment("before"), payment("poison"), payment("behind"))
    count(env)
    assert rows(env, SUCCESSFUL) == [(2, 20)]
    assert rows(env, ASIDE) == [("COUNTING", "RecursionError")]


def test_an_outage_sets_no_event_aside(env: Mapping[str, str]) -> None:
    send(env, payment("kept"))
    with superuser(env) as connection:
        connection.execute("revoke insert on live.payments from live")
        try:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                count(env)
        finally:
            connection.execute("grant insert on live.payments to live")
    assert rows(env, ASIDE) == []
    count(env)
    assert rows(env, SUCCESSFUL) == [(1, 10)]


def test_a_header_whose_name_is_no_text_does_not_keep_its_event_back(env: Mapping[str, str]) -> None:
    class NoText(str):
        def encode(self, *_: Any, **__: Any) -> bytes:
            return b"\xff"

    login = kafka_python_login(env["KAFKA_BOOTSTRAP"], "admin", env["KAFKA_PASSWORD_ADMIN"])
    with closing(KafkaProducer(**login)) as producer:
        for number in range(200):  # the interpreter calls another way once it is warm
            producer.send("transactions", payment(f"odd-{number}").encode(), b"c1", headers=[(NoText("x"), b"1")])
        producer.flush(20)
    count(env)
    assert rows(env, ASIDE) == []
    assert rows(env, SUCCESSFUL) == [(200, 2000)]


def test_what_was_aborted_is_not_counted_and_markers_are_passed_over(env: Mapping[str, str]) -> None:
    login = librdkafka_login(env["KAFKA_BOOTSTRAP"], "admin", env["KAFKA_PASSWORD_ADMIN"])
    exactly_once = Producer({**login, "transactional.id": "a-test"})
    exactly_once.init_transactions(60)
    exactly_once.begin_transaction()
    for name in ("kept-1", "kept-2"):
        exactly_once.produce("transactions", payment(name), b"c1")
    exactly_once.commit_transaction(60)
    exactly_once.begin_transaction()
    exactly_once.produce("transactions", payment("aborted", "999"), b"c1")
    exactly_once.flush(30)
    count(env)  # --once comes to its end while a transaction is open
    exactly_once.abort_transaction(60)
    wait_for(lambda: _is_counted_to_the_end(env))
    assert rows(env, SUCCESSFUL) == [(2, 20)]
    build_gold(env)
    assert verdict(env) == "OK", "gold's offsets are those behind the last marker"
    send(env, payment("behind"))
    count(env)
    assert rows(env, SUCCESSFUL) == [(3, 30)]


def _is_counted_to_the_end(env: Mapping[str, str]) -> bool:
    count(env)
    return dict(rows(env, "select partition, next_offset from live.positions")) == _ends(env)


def build_silver(env: Mapping[str, str]) -> None:
    """Make silver of what live.payments holds."""
    topic, reader = topic_id(env, "transactions"), EventReader(load_entity(PAYMENTS))
    kept = rows(env, 'select partition, "offset", arrived_at, transaction_id from live.payments')
    events = reader.read(
        [Message(Place(topic, partition, offset), at, MADE[name].encode()) for partition, offset, at, name in kept]
    )
    with superuser(env) as connection:
        write_silver(connection, taken(take(events, {}, set(), CHANNELS)))


def build_gold(env: Mapping[str, str]) -> None:
    """Make silver and gold of what live.payments holds, up to the ends of the topic."""
    build_silver(env)
    with superuser(env) as connection:
        write_gold(connection, topic_id(env, "transactions"), _ends(env))


def _ends(env: Mapping[str, str]) -> dict[int, int]:
    chosen = settings(env)
    with closing(connect(chosen)) as connection:
        engine = Engine(connection, chosen, find_layout(), lambda _: None)
        try:
            return {partition: high for partition, (_, high) in engine._broker.reach().items()}
        finally:
            engine._broker.close()


def test_an_alert_over_payments_in_several_partitions_is_computed_again(env: Mapping[str, str]) -> None:
    for number in range(8):
        produce(env, [(f"key-{number}".encode(), payment(f"spread-{number}").encode())])
    count(env)
    ((alert_id, partitions),) = rows(
        env, "select alert_id, (select count(distinct partition) from live.payments) from live.alerts"
    )
    assert partitions > 1
    build_silver(env)
    assert explain(alert_id, settings(env)).verdict == "EQUAL"


def test_the_check_says_whether_the_totals_are_golds_and_all_is_counted(env: Mapping[str, str]) -> None:
    send(env, payment("one"), payment("two"))
    assert (report_now(settings(env)).verdict, report_now(settings(env)).exit_code) == ("DOWN", 1)
    with running(env):
        wait_for(lambda: rows(env, SUCCESSFUL) == [(2, 20)])
        assert (report_now(settings(env)).verdict, report_now(settings(env)).exit_code) == ("UNCHECKED", 75)
        build_gold(env)
        assert (report_now(settings(env)).verdict, report_now(settings(env)).exit_code) == ("OK", 0)
        with superuser(env) as connection:
            connection.execute("update live.totals set count = count + 1")
        assert (report_now(settings(env)).verdict, report_now(settings(env)).exit_code) == ("DIFFERENT", 1)


def test_partitions_that_are_added_are_counted_from_their_beginning(env: Mapping[str, str]) -> None:
    """The last test of this module: a topic's partitions are never taken away again."""
    with running(env) as at_work:
        send(env, payment("first", "40"))
        wait_for(lambda: rows(env, SUCCESSFUL) == [(1, 40)])
        with administrator(env) as admin:
            admin.create_partitions({"transactions": 9})
        assert report_now(settings(env)).verdict in ("SKIPPING", "UNCHECKED")
        produce(env, [(f"c{n}".encode(), payment(f"p{n}", "1", customer_id=f"c{n}").encode()) for n in range(60)])
        wait_for(lambda: rows(env, SUCCESSFUL) == [(61, 100)])
        assert at_work.is_alive()
        assert rows(env, "select count(*) from live.positions where partition > 5 and next_offset > 0") == [(3,)]
        assert report_now(settings(env)).skipped == ()
    with administrator(env) as admin:
        admin.create_partitions({"transactions": 12})
    assert report_now(settings(env)).skipped == (9, 10, 11)
    produce(env, [(f"c{n}".encode(), payment(f"q{n}", "1", customer_id=f"c{n}").encode()) for n in range(60)])
    count(env)  # added while it was down
    assert rows(env, SUCCESSFUL) == [(121, 160)]
