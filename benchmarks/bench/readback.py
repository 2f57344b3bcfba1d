"""What a topic or gold holds, read back with a client and counted: a side's books are never its own word."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import psycopg

from bench.frame import BenchError, Books
from control.topics import administrator
from core.kafka_login import librdkafka_login

TOPIC = "transactions"
# Ours has a column for each status, the stock projects a row.
DAILY = """(
    select currency, cells.status, cells.payment_count, cells.amount from marts.daily_revenue_totals,
    lateral (values ('SUCCESS', success_count, success_amount), ('FAILED', failed_count, failed_amount),
        ('PENDING', pending_count, pending_amount)) as cells (status, payment_count, amount)
) as daily"""


def read_topic(env: Mapping[str, str], topic: str = TOPIC) -> Books:
    """Return count and exact amount by currency of all that a topic holds."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer(
        login(env) | {"group.id": "bench", "enable.auto.commit": False, "isolation.level": "read_committed"}
    )
    try:
        numbers = sorted(consumer.list_topics(topic, timeout=20).topics[topic].partitions)
        ends = {n: consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=20) for n in numbers}
        wanted = sum(high - low for low, high in ends.values())
        consumer.assign([TopicPartition(topic, n, OFFSET_BEGINNING) for n in numbers])
        count, sums = 0, dict[str, Decimal]()
        while count < wanted:
            batch = consumer.consume(min(10_000, wanted - count), timeout=20)
            if not batch:
                raise BenchError(f"{topic} gave {count} of {wanted} events.", "nothing was kept.", "run it again")
            for message in batch:
                count += 1
                currency, amount = _money(message.value())
                if currency:
                    sums[currency] = sums.get(currency, Decimal(0)) + amount
        return Books(count, sums or None)
    finally:
        consumer.close()


def _money(value: bytes | None) -> tuple[str | None, Decimal]:
    try:
        fields: Any = json.loads(value or b"", parse_float=Decimal, parse_int=Decimal)
    except ValueError:
        return None, Decimal(0)
    if not isinstance(fields, dict) or not isinstance(fields.get("amount"), Decimal):
        return None, Decimal(0)
    return fields.get("currency"), fields["amount"]


def read_gold(db: psycopg.Connection[Any], fact: str, daily: str) -> Books:
    """Return count and exact amount of a fact by currency and status, and those of its daily totals.

    Args:
        daily: what holds currency, status, payment_count and amount.
    """
    total, sums = 0, dict[str, Decimal]()
    for title, counted, source in (("", "count(*)", fact), ("daily ", "sum(payment_count)", daily)):
        rows = db.execute(
            f"select currency || ' ' || status, {counted}, sum(amount) from {source} group by 1"  # noqa: S608
        ).fetchall()
        for key, count, amount in rows:
            total += 0 if title else count
            if count:
                sums |= {f"{title}{key}": amount, f"{title}{key}, payments": Decimal(count)}
    return Books(total, sums)


def login(env: Mapping[str, str], user: str = "admin") -> dict[str, str]:
    """Return librdkafka's settings for a user of the broker."""
    return librdkafka_login(env["KAFKA_BOOTSTRAP"], user, env[f"KAFKA_PASSWORD_{user.upper()}"])


def fresh_topic(env: Mapping[str, str]) -> None:
    """Make the topic of transactions anew, empty: every run begins on the same ground."""
    import time

    from contracts.entities import load_entity
    from contracts.model import PAYMENTS

    entity = load_entity(PAYMENTS).topic
    with administrator(env) as admin:
        admin.delete_topics([entity.name])
        deadline = time.monotonic() + 30
        while entity.name in admin.list_topics():
            if time.monotonic() > deadline:
                raise BenchError("the topic is not deleted after 30 s.", "nothing was kept.", "run it again")
            time.sleep(0.1)
        wanted = {
            "num_partitions": entity.partitions, "replication_factor": 1, "configs": dict(entity.config)
        }  # fmt: skip
        admin.create_topics({entity.name: wanted}, wait_for_metadata=True)
