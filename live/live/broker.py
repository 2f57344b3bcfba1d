"""The engine's side of Kafka: one consumer at positions that PostgreSQL keeps, without a group's commits."""

import logging
from collections.abc import Mapping
from operator import methodcaller
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from core.errors import OutageError, RefusalError, TieoutError
from core.kafka_certificates import MEND, certificate_trouble
from core.settings import Settings
from core.topic_id import normalise_topic_id
from live.events import Headers

ANSWER_SECONDS = 20
# For a header whose name is no text, confluent-kafka 2.16 sets an error and returns a list with holes. Called this way
# the interpreter looks for the error; called directly it does not once the call is warm (Python 3.11).
_read_headers = methodcaller("headers")
LEFT = "what was counted stays counted; nothing of the unread events is."
_LOG = logging.getLogger("live.librdkafka")
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False


def headers_of(message: Any) -> Headers:
    """Return a message's headers; none where the name of one is no text, and the event counts without them."""
    try:
        return _read_headers(message) or ()
    except (UnicodeDecodeError, SystemError):
        return ()


class Broker:
    """Reads the topic of the events.

    Args:
        settings: where the broker is, and the password of user live.
        topic: the topic's name.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings, self._topic = settings, topic
        self._consumer = Consumer(
            {
                **settings.kafka_login("live"),
                "client.id": "tieout-live",
                "group.id": "live-engine",  # librdkafka asks for one; nothing is ever committed under it
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                # Says how far a partition was read, also past markers and aborted messages, which do not come.
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 100,
                "fetch.min.bytes": 131_072,
                "queued.min.messages": 5_000,
                "queued.max.messages.kbytes": 16_384,
                "log_level": 2,
            },
            logger=_LOG,
        )

    def topic_id(self) -> str:
        """Return the broker's id of the topic; one that is deleted and made again has another.

        Raises:
            OutageError: the broker does not answer, or does not have the topic yet.
        """
        # Asked first: librdkafka would try for as long as it may.
        if trouble := self._certificate():
            raise trouble
        client = AdminClient({**self._settings.kafka_login("live"), "log_level": 2}, logger=_LOG)
        try:
            answer = client.describe_topics(TopicCollection([self._topic]), request_timeout=ANSWER_SECONDS)
            return normalise_topic_id(str(answer[self._topic].result(timeout=ANSWER_SECONDS).topic_id))
        except (KafkaException, TimeoutError) as error:
            raise self._away(error) from error

    def reach(self) -> dict[int, tuple[int, int]]:
        """Return the first offset that the broker still has and the one behind the last, by partition.

        Raises:
            OutageError: the broker does not answer.
        """
        try:
            return {
                number: self._consumer.get_watermark_offsets(
                    TopicPartition(self._topic, number), timeout=ANSWER_SECONDS
                )
                for number in sorted(self.partitions())
            }
        except KafkaException as error:
            raise self._away(error) from error

    def partitions(self) -> set[int]:
        """Return the numbers of the topic's partitions, also of those that were added a moment ago.

        Raises:
            OutageError: the broker does not answer, or the topic is gone.
        """
        try:
            topic = self._consumer.list_topics(self._topic, timeout=ANSWER_SECONDS).topics[self._topic]
        except KafkaException as error:
            raise self._away(error) from error
        if topic.error is not None:
            raise self._away(KafkaException(topic.error))
        return set(topic.partitions)

    def begin(self, positions: Mapping[int, int]) -> None:
        """Read on from these offsets.

        Raises:
            RefusalError: the broker has dropped events that were not counted yet.
        """
        for partition, (low, high) in self.reach().items():
            at = positions.get(partition, 0)
            if at < low or at > high:
                raise RefusalError(
                    f"the live view would go on at offset {at} of partition {partition}, and the broker holds "
                    f"{low} to {high}: events between would never be counted.",
                    "the totals stand where they stood.",
                    "./scripts/tieout run, ./scripts/tieout live --restart-from-gold --once, ./scripts/start.sh",
                )
        self._consumer.assign(
            [TopicPartition(self._topic, partition, at or OFFSET_BEGINNING) for partition, at in positions.items()]
        )

    def poll(self, most: int, seconds: float) -> tuple[list[Any], dict[int, int]]:
        """Return the messages of the next moments, at most so many, and how far partitions were read to their end.

        Raises:
            OutageError: the broker is away or refuses to go on.
        """
        try:
            messages = self._consumer.consume(most, seconds)
        except KafkaException as error:
            raise self._away(error) from error
        found: list[Any] = []
        ends: dict[int, int] = {}
        message: Any
        for message in messages:
            trouble = message.error()
            if trouble is None:
                found.append(message)
            elif trouble.code() == KafkaError._PARTITION_EOF:
                ends[message.partition()] = message.offset()
            else:
                raise self._away(KafkaException(trouble))
        return found, ends

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def _certificate(self) -> TieoutError | None:
        trouble = certificate_trouble(self._settings.kafka_place, "live")
        if trouble is None:
            return None
        what = f"the live view cannot read Kafka: {trouble}."
        return OutageError(what, LEFT, f"{MEND}; the service starts again by itself")

    def _away(self, error: Exception) -> TieoutError:
        if trouble := self._certificate():
            return trouble
        cause = error.args[0] if error.args else error
        said = cause.str() if isinstance(cause, KafkaError) else str(cause) or type(error).__name__
        return OutageError(
            f"kafka does not answer the live view on {self._settings.kafka_bootstrap}: {said}.",
            LEFT,
            "./scripts/tieout logs kafka, or ./scripts/tieout doctor; the service starts again by itself",
        )
