"""Reads a topic back with kafka-python: a second client, so that what one wrote another one verifies."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from contracts.kafka_login import kafka_python_login

FETCH_MILLISECONDS = 1_000


@dataclass(frozen=True, slots=True)
class Record:
    """A message as the broker holds it; `arrived_ms` is the broker's time."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]
    arrived_ms: int


def _consumer(bootstrap: str, user: str, password: str) -> Any:
    return KafkaConsumer(
        **kafka_python_login(bootstrap, user, password),
        # No group: partitions are assigned and nothing is committed, so that no right on a group is needed.
        group_id=None,
        enable_auto_commit=False,
        max_partition_fetch_bytes=16 << 20,
        fetch_max_bytes=64 << 20,
    )


def _partitions(consumer: Any, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]


def end_offsets(bootstrap: str, user: str, password: str, topic: str) -> dict[int, int]:
    """Return the offset behind the last message of each partition; empty when the user sees no such topic."""
    consumer = _consumer(bootstrap, user, password)
    try:
        ends = consumer.end_offsets(_partitions(consumer, topic))
        return {partition.partition: offset for partition, offset in sorted(ends.items())}
    finally:
        consumer.close()


def read_topic(bootstrap: str, user: str, password: str, topic: str, starts: dict[int, int]) -> Iterator[Record]:
    """Yield what stands in a topic at this moment, in order within each partition, and end there.

    Args:
        starts: first offset by partition; a partition that is not named is read from its beginning.
    """
    consumer = _consumer(bootstrap, user, password)
    try:
        partitions = _partitions(consumer, topic)
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        begins = consumer.beginning_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, max(starts.get(partition.partition, 0), begins[partition]))
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for partition, messages in consumer.poll(timeout_ms=FETCH_MILLISECONDS, max_records=10_000).items():
                for message in messages:
                    if message.offset < ends[partition]:
                        yield Record(
                            partition.partition,
                            message.offset,
                            message.key,
                            message.value,
                            dict(message.headers),
                            message.timestamp,
                        )
    finally:
        consumer.close()
