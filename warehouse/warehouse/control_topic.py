"""Reads a sender's topic of control totals with the loader's own account, from where the last load had come.

A topic that is away costs a load its control totals, never its payments: they are read by a later load.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from psycopg.types.json import Jsonb

from contracts.control_total import ControlTotal, ControlTotalError, parse_control_total
from core.errors import TieoutError
from core.kafka_certificates import certificate_trouble
from core.settings import Settings
from core.topic_id import normalise_topic_id
from warehouse.control_totals import Taken

LONGEST_SECONDS = 10.0
ANSWER_SECONDS = 5.0
MOST_TOTALS = 5_000
MOST_BYTES = 64 << 20
_LOG = logging.getLogger("warehouse.librdkafka")
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False


@dataclass
class NewTotals:
    """What stood on the topic behind the last load.

    Attributes:
        ends: offset behind the last one read, by partition.
        unreadable: messages that are no control totals.
    """

    topic_id: str | None
    ends: dict[int, int]
    totals: list[ControlTotal] = field(default_factory=list)
    unreadable: int = 0


@dataclass(frozen=True)
class ControlWatermark:
    """How far the topic is read."""

    topic_id: str | None
    ends: dict[int, int]


def read_control_watermark(connection: psycopg.Connection[Any], sender: str) -> ControlWatermark:
    """Return how far a sender's topic is read; at the beginning before the first load."""
    row = connection.execute(
        "select topic_id, ends from metadata.control_watermark where sender = %s", [sender]
    ).fetchone()
    return (
        ControlWatermark(row[0], {int(p): int(end) for p, end in row[1].items()}) if row else ControlWatermark(None, {})
    )


def write_control_watermark(
    connection: psycopg.Connection[Any], load_id: int, sender: str, told: NewTotals, taken: Taken
) -> None:
    """Set how far a sender's topic is read. Call it inside the load's transaction."""
    connection.execute(
        """
        insert into metadata.control_watermark as w
            (sender, topic_id, ends, unreadable, foreign_totals, refused_totals, load_id)
        values (%s, %s, %s, %s, %s, %s, %s)
        on conflict (sender) do update set topic_id = excluded.topic_id, ends = excluded.ends,
            unreadable = w.unreadable + excluded.unreadable,
            foreign_totals = w.foreign_totals + excluded.foreign_totals,
            refused_totals = w.refused_totals + excluded.refused_totals,
            load_id = excluded.load_id, updated_at = now()
        """,
        [
            *(sender, told.topic_id, Jsonb({str(p): end for p, end in sorted(told.ends.items())}), told.unreadable),
            *(taken.foreign, taken.refused, load_id),
        ],
    )


class ControlTopic:
    """The topic, for the time of a loader.

    Args:
        settings: broker and password.
        topic: its name.
        say: told why control totals are not read.
    """

    def __init__(self, settings: Settings, topic: str, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._topic = topic
        self._say = say
        self._consumer: Any = None
        self._is_away = False
        self._trouble = "no answer"

    def close(self) -> None:
        """Leave the broker."""
        if self._consumer is not None:
            self._consumer.close()

    def read(self, known: ControlWatermark) -> NewTotals | None:
        """Return what is new, up to a bound; None when nothing is, or the topic is away."""
        if self._is_away:
            return None
        try:
            told = self._read(known)
        except (KafkaException, TimeoutError) as error:
            self._is_away = True
            said = error.args[0].str() if isinstance(error, KafkaException) else str(error)
            reason = said if self._trouble == "no answer" else self._trouble
            reason = certificate_trouble(self._settings.kafka_place, "loader") or reason
            self._say(f"control totals are not read: {reason}; "
                      "payments are loaded all the same, and a later load reads them")  # fmt: skip
            return None
        if told is not None and told.unreadable:
            self._say(f"{told.unreadable} messages on {self._topic} are no control totals and were passed over")
        return told

    def _open(self) -> bool:
        try:
            login = self._settings.kafka_login("loader")
        except TieoutError as error:
            self._is_away = True
            self._say(f"control totals are not read: {error.what} {error.next}")
            return False
        connection: dict[str, Any] = {**login, "log_level": 2}
        reading = {
            # Offsets are kept by the warehouse; the group is only a name that the loader may use.
            "group.id": "loader-control",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "error_cb": self._on_error,
        }
        self._consumer = Consumer(connection | reading, logger=_LOG)
        self._admin = AdminClient(connection, logger=_LOG)
        return True

    def _on_error(self, error: KafkaError) -> None:
        if error.code() not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT):
            self._trouble = error.str()

    def _topic_id(self) -> str:
        described = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=ANSWER_SECONDS)
        return normalise_topic_id(str(described[self._topic].result(timeout=ANSWER_SECONDS + 1).topic_id))

    def _read(self, known: ControlWatermark) -> NewTotals | None:
        if self._consumer is None and not self._open():
            return None
        found = self._consumer.list_topics(self._topic, timeout=ANSWER_SECONDS).topics[self._topic]
        if found.error is not None:
            raise KafkaException(found.error)
        topic_id = self._topic_id()
        begins = known.ends if known.topic_id in (None, topic_id) else {}
        if known.topic_id not in (None, topic_id):
            self._say(f"{self._topic} was made anew: its control totals are read from its beginning")
        told = NewTotals(topic_id, dict(begins))
        ends: dict[int, int] = {}
        starts = []
        for partition in sorted(found.partitions):
            place = TopicPartition(self._topic, partition)
            low, high = self._consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
            begin = begins.get(partition, low)
            if begin < low:
                self._say(f"control totals {begin} to {low - 1} of {self._topic} are gone; newer ones say the same")
            told.ends[partition] = start = min(max(begin, low), high)
            if start < high:
                ends[partition] = high
                starts.append(TopicPartition(self._topic, partition, start))
        if not starts:
            return None
        self._consumer.assign(starts)
        self._take(told, ends)
        return told if any(told.ends[place.partition] > place.offset for place in starts) else None

    def _take(self, told: NewTotals, ends: dict[int, int]) -> None:
        deadline = time.monotonic() + LONGEST_SECONDS
        taken = 0
        while time.monotonic() < deadline and len(told.totals) < MOST_TOTALS and taken < MOST_BYTES:
            missing = sum(max(0, end - told.ends[partition]) for partition, end in ends.items())
            if not missing:
                return
            # It waits for as many as are asked for: more than there are would cost the whole half second.
            for message in self._consumer.consume(min(missing, 100), timeout=0.5):
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    # A transaction's marker is no message; what waits for an open one is for a later load.
                    told.ends[message.partition()] = ends[message.partition()] = message.offset()
                    continue
                if error is not None:
                    raise KafkaException(error)
                told.ends[message.partition()] = message.offset() + 1
                taken += len(message.value() or b"")
                try:
                    told.totals.append(parse_control_total(message.value()))
                except ControlTotalError:
                    told.unreadable += 1
