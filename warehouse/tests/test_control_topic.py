"""The topic of control totals through a real broker, and Kafka read again by the other client."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from lake_writer import LakeWriter, dead_letter, payment, refund

from contracts.control_total import ControlTotal, Money
from contracts.entities import load_entity
from contracts.model import PAYMENTS
from control.testing import Handle, transaction
from core.kafka_login import librdkafka_login
from core.layout import Layout
from core.settings import Settings
from warehouse.control_topic import LONGEST_SECONDS, ControlTopic, ControlWatermark
from warehouse.proof.context import Context
from warehouse.proof.deep import prove_with_kafka

pytestmark = pytest.mark.services
TOPIC = "transactions.control"


def settings_of(services: Handle, **changed: Any) -> Settings:
    env = services.env
    given = {
        "kafka_bootstrap": env["KAFKA_BOOTSTRAP"],
        "kafka_password_loader": env["KAFKA_PASSWORD_LOADER"],
        "kafka_password_auditor": env["KAFKA_PASSWORD_AUDITOR"],
    }
    return Settings(**{**given, **changed})


def send(services: Handle, topic: str, values: Sequence[bytes | None], headers: Any = None) -> list[tuple[int, int]]:
    """Send values; return where each came to lie."""
    places: dict[int, tuple[int, int]] = {}
    env = services.env
    producer = Producer(librdkafka_login(env["KAFKA_BOOTSTRAP"], "gateway", env["KAFKA_PASSWORD_GATEWAY"]))
    for number, value in enumerate(values):
        producer.produce(
            topic,
            value=value,
            headers=headers(number) if headers else None,
            on_delivery=lambda _, message, number=number: places.update(
                {number: (message.partition(), message.offset())}
            ),
        )
    assert producer.flush(60) == 0
    return [places[number] for number in range(len(values))]


def total(run: str, seq: int) -> bytes:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    return ControlTotal(run, seq, False, {"INR": Money(seq, seq * Decimal("1.10"))}, {0: seq - 1}, sent_at=at).value()


def test_totals_of_transactions_are_read_to_their_end_without_waiting_for_open_ones(services: Handle) -> None:
    run = uuid4().hex
    topic = ControlTopic(settings_of(services), TOPIC, lambda _: None)
    before = topic.read(ControlWatermark(None, {}))
    known = ControlWatermark(before.topic_id, before.ends) if before else ControlWatermark(None, {})
    with transaction(services.env, [total(run, 1)], partition=0, topic=TOPIC):
        pass
    with transaction(services.env, [total(run, 2)], partition=0, topic=TOPIC, abort=True):
        pass
    with transaction(services.env, [total(run, 3)], partition=0, topic=TOPIC):
        began = time.monotonic()
        told = topic.read(known)
        assert told is not None
        assert [each.seq for each in told.totals] == [1]
        assert told.ends == {0: known.ends.get(0, 0) + 4}, "behind the marker of the aborted one"
        assert topic.read(ControlWatermark(told.topic_id, told.ends)) is None
        assert time.monotonic() - began < 2 * LONGEST_SECONDS, "it waited for what cannot come"
    after = topic.read(ControlWatermark(told.topic_id, told.ends))
    assert after is not None
    assert [each.seq for each in after.totals] == [3]
    topic.close()


def test_what_is_new_on_the_topic_is_read_once_and_rubbish_is_passed_over(services: Handle) -> None:
    said: list[str] = []
    run = uuid4().hex
    topic = ControlTopic(settings_of(services), TOPIC, said.append)
    nowhere = ControlWatermark(None, {})
    told = topic.read(nowhere)
    known = ControlWatermark(told.topic_id, told.ends) if told else nowhere
    send(services, TOPIC, [total(run, 1), b"rubbish", None, total(run, 2)])
    told = topic.read(known)
    assert told is not None
    assert [(each.run, each.seq) for each in told.totals] == [(run, 1), (run, 2)]
    assert told.unreadable == 2
    assert "are no control totals" in said[-1]
    assert topic.read(ControlWatermark(told.topic_id, told.ends)) is None
    again = topic.read(ControlWatermark("another topic", told.ends))
    assert again is not None
    assert (run, 2) in [(each.run, each.seq) for each in again.totals]
    assert any("was made anew" in line for line in said)
    topic.close()


@pytest.mark.parametrize(
    "changed", [{"kafka_bootstrap": "127.0.0.1:1"}, {"kafka_password_loader": "wrong"}, {"kafka_password_loader": None}]
)
def test_a_topic_that_is_away_is_said_once_and_stops_nothing(services: Handle, changed: dict[str, Any]) -> None:
    said: list[str] = []
    topic = ControlTopic(settings_of(services, **changed), TOPIC, said.append)
    assert topic.read(ControlWatermark(None, {})) is None
    assert topic.read(ControlWatermark(None, {})) is None
    (line,) = said
    assert line.startswith("control totals are not read")
    topic.close()


def write_lake(lake: LakeWriter, places: list[tuple[int, int]], values: list[bytes], amounts: list[Decimal]) -> None:
    """Write events where Kafka has put them; those without an amount are dead letters."""
    rows: list[dict[str, Any]] = []
    for (partition, offset), value, amount in zip(places, values, [*amounts, None], strict=True):
        sound = payment if lake.entity.name == PAYMENTS else refund
        event = sound(amount=amount) if amount is not None else dead_letter()
        (row,) = lake.deliver([{**event, "raw_value": value, "partition": partition}])
        rows.append({**row, "offset": offset})
    ends = {partition: max(o + 1 for p, o in places if p == partition) for partition, _ in places}
    for table in (lake.dead_letters, lake.bronze):
        lake.write(table, rows, dict.fromkeys(ends, 0), ends)


@pytest.mark.parametrize(("entity", "tampered"), [(PAYMENTS, False), (PAYMENTS, True), ("refunds", True)])
def test_kafka_itself_says_what_an_unattested_feed_should_be(
    services: Handle, layout: Layout, entity: str, tampered: bool
) -> None:
    kind = load_entity(entity)
    run = uuid4().hex
    amounts = [Decimal("1.25"), Decimal("2.5"), Decimal(3)]
    values = [b'{"amount": %s, "currency": "INR"}' % str(amount).encode() for amount in amounts] + [b"{"]
    places = send(services, kind.topic.name, values, lambda n: [("run", run.encode()), ("seq", b"%d" % (n + 1))])
    if tampered:
        amounts[0] += Decimal("0.01")
        values[1] += b" "
    write_lake(LakeWriter(layout, entity=kind), places, values, amounts)
    # It reads nothing of the database.
    context = Context(cast("Any", None), settings_of(services), layout, kind)
    lines = [e.as_json() for e in prove_with_kafka(context, [run])]
    feed = {e["currency"]: (e["left"], e["right"], e["verdict"]) for e in lines if e["name"] == "E0"}
    said, here = {"count": 3, "amount": "6.75"}, {"count": 3, "amount": "6.76" if tampered else "6.75"}
    assert feed["INR"] == (said, here, "DIFFERENT" if tampered else "OK")
    assert feed[None][2] == "OK"
    # Other tests' events lie before these, and are not in this lake.
    assert sum(e["right"]["count"] for e in lines if e["name"] == "E1") == (3 if tampered else 4)
