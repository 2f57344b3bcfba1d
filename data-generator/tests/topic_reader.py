"""Reads a topic back with kafka-python: a second client, so that what one wrote another one verifies."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition

from contracts.control_total import ControlTotal, parse_control_total
from core.kafka_login import kafka_python_login

EVENTS, CONTROL = "transactions", "transactions.control"


@dataclass(frozen=True, slots=True)
class Record:
    """A message as the broker holds it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


def read_topic(env: Mapping[str, str], topic: str, starts: Mapping[int, int]) -> Iterator[Record]:
    """Yield what stands in a topic at this moment, in order within each partition, and end there.

    Args:
        starts: first offset by partition; a partition that is not named is read from its beginning.
    """
    consumer = KafkaConsumer(
        **kafka_python_login(env["KAFKA_BOOTSTRAP"], "auditor", env["KAFKA_PASSWORD_AUDITOR"]),
        # No group: partitions are assigned and nothing is committed, so that no right on a group is needed.
        group_id=None,
        enable_auto_commit=False,
        max_partition_fetch_bytes=16 << 20,
        fetch_max_bytes=64 << 20,
    )
    try:
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        begins = consumer.beginning_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, max(starts.get(partition.partition, 0), begins[partition]))
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for partition, messages in consumer.poll(timeout_ms=1_000, max_records=10_000).items():
                for message in messages:
                    if message.offset < ends[partition]:
                        yield Record(
                            partition.partition, message.offset, message.key, message.value, dict(message.headers)
                        )
    finally:
        consumer.close()


def control_totals(env: Mapping[str, str], run: str) -> list[ControlTotal]:
    """Return the control totals of a feed, in their order."""
    return [parse_control_total(record.value) for record in read_topic(env, CONTROL, {}) if record.key == run.encode()]
