"""Offsets of the topic, asked as the auditor with kafka-python: the second client beside confluent-kafka.

An end is where a reader of committed events gets to: before the first event of a transaction that is still open.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from core.errors import OutageError, TieoutError
from core.kafka_certificates import certificate_error
from core.kafka_login import KafkaPlace, kafka_python_login
from core.topic_id import normalise_topic_id


@contextmanager
def _auditor(settings: Mapping[str, str], *, admin: bool = False, isolation: str = "read_committed") -> Iterator[Any]:
    from kafka import KafkaConsumer
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaError

    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # refusals are raised; it logs each of them as well
    try:
        login = {
            **kafka_python_login(KafkaPlace.of(settings), "auditor", settings["KAFKA_PASSWORD_AUDITOR"]),
            "request_timeout_ms": 10_000,
            "bootstrap_timeout_ms": 5_000,
        }
        client = KafkaAdminClient(**login) if admin else KafkaConsumer(**login, isolation_level=isolation)
        try:
            yield client
        finally:
            client.close()
    except (KafkaError, OSError, AssertionError) as error:
        if wrong := certificate_error(KafkaPlace.of(settings), "auditor", "nothing was read or written."):
            raise wrong from error
        raise OutageError(
            f"kafka does not answer on {settings['KAFKA_BOOTSTRAP']}: {str(error) or type(error).__name__}",
            "nothing was read or written.",
            "./scripts/start.sh where nothing runs; else ./scripts/tieout logs kafka",
        ) from error


def _partitions(client: Any, topic: str) -> list[Any]:
    from kafka import TopicPartition

    numbers = client.partitions_for_topic(topic)
    if not numbers:
        raise TieoutError(f"the broker has no topic {topic}.", "nothing was read or written.", "./scripts/start.sh")
    return [TopicPartition(topic, number) for number in sorted(numbers)]


def end_offsets(settings: Mapping[str, str], topic: str, isolation: str = "read_committed") -> dict[int, int]:
    """Return the offset behind the last event of each partition, now.

    Args:
        settings: broker, and the password of the auditor.
        topic: its name.
        isolation: read_uncommitted counts what open transactions have sent, and all that came after it.

    Raises:
        TieoutError: the broker is away, refuses the auditor, or has no such topic.
    """
    with _auditor(settings, isolation=isolation) as client:
        ends = client.end_offsets(_partitions(client, topic))
    return {partition.partition: offset for partition, offset in sorted(ends.items())}


def held_back(settings: Mapping[str, str], topic: str) -> tuple[dict[int, int], int]:
    """Return the end offsets, and how many offsets behind them wait for an open transaction.

    Raises:
        TieoutError: the broker is away, refuses the auditor, or has no such topic.
    """
    # In this order: an event that arrives in between waits for nothing.
    written = end_offsets(settings, topic, "read_uncommitted")
    ends = end_offsets(settings, topic)
    return ends, behind(written, ends)


def topic_id(settings: Mapping[str, str], topic: str) -> str:
    """Return the broker's id of the topic; one that is deleted and made again has another.

    Raises:
        TieoutError: the broker is away, refuses the auditor, or has no such topic.
    """
    with _auditor(settings, admin=True) as client:
        (described,) = client.describe_topics([topic])
    if described["error_code"]:
        raise TieoutError(f"the broker has no topic {topic}.", "nothing was read or written.", "./scripts/start.sh")
    return normalise_topic_id(UUID(described["topic_id"]))


def topic_state(settings: Mapping[str, str], topic: str) -> tuple[str, str, dict[int, int], dict[int, int]]:
    """Return name, id, first and next offsets of a topic.

    Raises:
        TieoutError: the broker is away, refuses the auditor, or has no such topic.
    """
    found = topic_id(settings, topic)
    with _auditor(settings, isolation="read_uncommitted") as client:
        partitions = _partitions(client, topic)
        first, behind = client.beginning_offsets(partitions), client.end_offsets(partitions)
    return topic, found, _by_number(first), _by_number(behind)


def _by_number(offsets: Mapping[Any, int]) -> dict[int, int]:
    return {place.partition: offset for place, offset in sorted(offsets.items())}


def ends_and_rate(settings: Mapping[str, str], topic: str, seconds: int = 60) -> tuple[dict[int, int], float]:
    """Return the end offsets and the events a second over the last seconds.

    Raises:
        TieoutError: the broker is away, refuses the auditor, or has no such topic.
    """
    with _auditor(settings) as client:
        partitions = _partitions(client, topic)
        ends = client.end_offsets(partitions)
        since = int((time.time() - seconds) * 1000)
        found = client.offsets_for_times(dict.fromkeys(partitions, since))
    arrived = sum(ends[partition] - first.offset for partition, first in found.items() if first is not None)
    return {partition.partition: offset for partition, offset in sorted(ends.items())}, arrived / seconds


def behind(wanted: Mapping[int, int], reached: Mapping[int, int]) -> int:
    """Return how many events lie between what a table accounts for and what is wanted."""
    return sum(max(0, end - reached.get(partition, 0)) for partition, end in wanted.items())
