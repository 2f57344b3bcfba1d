"""What of a feed stands in its topic already: read by the auditor, who may write nothing."""

import logging
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from core.errors import OutageError
from core.kafka_login import KafkaPlace, librdkafka_login
from data_generator.ingest.errors import NOTHING_SENT

_SECONDS: Final = 20.0
_SILENT_SECONDS: Final = 60.0
_LOG = logging.getLogger("data_generator.librdkafka")


def read_ends(broker: KafkaPlace, password: str, topic: str) -> dict[int, int]:
    """Return the offset behind the last record of each partition, now.

    Raises:
        OutageError: the broker does not answer.
    """
    with _consumer(broker, password) as consumer:
        return _ends(consumer, topic)


def read_sent(
    broker: KafkaPlace, password: str, topic: str, run: str, begins: Mapping[int, int]
) -> dict[int, tuple[int, int]]:
    """Return the events of a feed that stand in a topic: partition and offset by number.

    Args:
        begins: where to begin, by partition; another one is read from its beginning.

    Raises:
        OutageError: the broker does not answer.
    """
    named = run.encode()
    found: dict[int, tuple[int, int]] = {}
    with _consumer(broker, password) as consumer:
        ends = _ends(consumer, topic)
        left = {partition: end for partition, end in ends.items() if begins.get(partition, 0) < end}
        consumer.assign([TopicPartition(topic, partition, begins.get(partition, 0)) for partition in left])
        heard = time.monotonic()
        while left:
            for message in consumer.consume(10_000, timeout=1.0):
                error, heard = message.error(), time.monotonic()
                partition, offset = message.partition(), message.offset()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise _away(broker, error.str())
                if error is None:
                    headers = dict(message.headers() or ())
                    if headers.get("run") == named:
                        found.setdefault(int(headers["seq"]), (partition, offset))
                if partition in left and offset + (error is None) >= left[partition]:
                    del left[partition]
            if time.monotonic() - heard > _SILENT_SECONDS:
                raise _away(broker, "no answer")
    return found


def _consumer(broker: KafkaPlace, password: str) -> closing[Any]:
    settings = {
        **librdkafka_login(broker, "auditor", password),
        "group.id": "auditor-ingest",  # nothing is committed: it is only a name
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "log_level": 2,
    }
    return closing(Consumer(settings, logger=_LOG))


def _ends(consumer: Any, topic: str) -> dict[int, int]:
    try:
        found = consumer.list_topics(topic, timeout=_SECONDS).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return {
            partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_SECONDS)[1]
            for partition in sorted(found.partitions)
        }
    except KafkaException as error:
        raise _away(None, error.args[0].str()) from None


def _away(broker: KafkaPlace | None, said: str) -> OutageError:
    at = f" at {broker.bootstrap}" if broker else ""
    return OutageError(
        f"the broker{at} cannot be read as user auditor: {said}.", NOTHING_SENT, "./scripts/tieout doctor"
    )
