"""Kafka's records for the proof, read with the other client as the auditor."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from core.errors import OutageError
from core.kafka_certificates import certificate_error
from core.kafka_login import kafka_python_login
from core.settings import Settings
from core.topic_id import normalise_topic_id

BATCH = 20_000
SILENCE_SECONDS = 60.0


@contextmanager
def auditor(settings: Settings, isolation: str = "read_committed") -> Iterator[Any]:
    """Yield a consumer of the auditor's.

    Args:
        settings: broker, and the password of the auditor.
        isolation: read_uncommitted shows records of aborted transactions too.

    Raises:
        OutageError: the broker is away, refuses, or no longer has what is read.
    """
    from kafka import KafkaConsumer  # noqa: PLC0415  (only a proof that reads Kafka needs it)

    reading = {
        "group_id": None,
        "enable_auto_commit": False,
        "max_partition_fetch_bytes": 16 << 20,
        "fetch_max_bytes": 64 << 20,
        "isolation_level": isolation,
        # What retention takes while it is read must not be jumped over.
        "auto_offset_reset": "none",
    }
    with _client(settings, lambda login: KafkaConsumer(**login, **reading)) as consumer:
        yield consumer


def topic_state(settings: Settings, topic: str) -> tuple[str, bool]:
    """Return the id of a topic, and whether it is compacted: then single records may be gone.

    Raises:
        OutageError: the broker is away, or refuses.
    """
    from kafka.admin import ConfigResource, KafkaAdminClient  # noqa: PLC0415  (only a proof that reads Kafka needs it)

    with _client(settings, lambda login: KafkaAdminClient(**login)) as admin:
        (described,) = admin.describe_topics([topic])
        configs = admin.describe_configs([ConfigResource("TOPIC", topic)], config_filter="all")
    policy = configs["topic"][topic]["cleanup.policy"]["value"]
    return normalise_topic_id(UUID(described["topic_id"])), "compact" in policy


@contextmanager
def _client(settings: Settings, connect: Callable[[dict[str, Any]], Any]) -> Iterator[Any]:
    from kafka.errors import KafkaError  # noqa: PLC0415  (only a proof that reads Kafka needs it)

    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # refusals are raised; it logs each of them as well
    password = settings.kafka_password("auditor", "nothing was read.")
    left = "nothing was proven or written."
    # Asked first: the client itself would try for half a minute.
    if wrong := certificate_error(settings.kafka_place, "auditor", left):
        raise wrong
    try:
        client = connect(kafka_python_login(settings.kafka_place, "auditor", password))
        try:
            yield client
        finally:
            client.close()
    except (KafkaError, OSError, AssertionError) as error:
        raise OutageError(
            f"kafka does not answer on {settings.kafka_bootstrap}: {str(error) or type(error).__name__}",
            left,
            "./scripts/start.sh where nothing runs; else ./scripts/tieout logs kafka",
        ) from error


def read_records(consumer: Any, ranges: Mapping[Any, tuple[int, int]]) -> Iterator[list[Any]]:
    """Yield the records of ranges, first offset and the one behind the last by partition, in batches.

    Raises:
        OutageError: the broker sends nothing for a minute.
    """
    places = [place for place, (begin, behind) in ranges.items() if begin < behind]
    consumer.assign(places)
    for place in places:
        consumer.seek(place, ranges[place][0])
    batch: list[Any] = []
    reached: dict[Any, int] = {}
    moved_at = time.monotonic()
    while any(consumer.position(place) < ranges[place][1] for place in places):
        positions = {place: consumer.position(place) for place in places}
        if positions != reached:
            reached, moved_at = positions, time.monotonic()
        elif time.monotonic() - moved_at > SILENCE_SECONDS:
            # The client itself waits for ever, and the proof's snapshot of the database with it.
            raise OutageError(
                f"kafka sent nothing for {SILENCE_SECONDS:.0f} s, and {_rest(positions, ranges)} records are to come.",
                "nothing was proven or written.",
                "./scripts/tieout logs kafka, then ./scripts/tieout proof --deep again",
            )
        for place, messages in consumer.poll(timeout_ms=1_000, max_records=10_000).items():
            batch += [message for message in messages if message.offset < ranges[place][1]]
        if len(batch) >= BATCH:
            yield batch
            batch = []
    yield batch


def _rest(positions: Mapping[Any, int], ranges: Mapping[Any, tuple[int, int]]) -> int:
    return sum(max(0, ranges[place][1] - at) for place, at in positions.items())
