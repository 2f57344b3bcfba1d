"""From the broker to the lake without Spark: the strict parser's verdict, written as the stream writes it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Producer
from kafka import KafkaConsumer, TopicPartition
from lake_writer import LakeWriter

from contracts.entities import load_entity
from contracts.model import PAYMENTS, Entity
from contracts.verdict import judge
from core.kafka_login import kafka_python_login, librdkafka_login
from core.layout import Layout

CONTRACT = load_entity(PAYMENTS)
TOPIC = CONTRACT.topic.name


class SmallStream:
    """Takes what arrives on an entity's topic behind the moment at which it was made.

    Attributes:
        isolation: the stream's; an older one read what was not committed.
        passes_over: so many of a batch's first messages are missed, and called gaps.
    """

    isolation = "read_committed"
    passes_over = 0

    def __init__(
        self,
        env: Mapping[str, str],
        layout: Layout,
        topic_id: str = "sMHcCAVMSGyb_J6xbxrUwA",
        entity: Entity = CONTRACT,
    ) -> None:
        self._env, self._topic_id, self._entity = env, topic_id, entity
        self.writer = LakeWriter(layout, topic_id, entity)
        consumer, topic = self._consumer("auditor"), entity.topic.name
        self._partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
        assert self._partitions
        self._next = {p.partition: end for p, end in consumer.end_offsets(self._partitions).items()}
        consumer.close()

    def _consumer(self, user: str) -> Any:
        return KafkaConsumer(
            **kafka_python_login(self._env["KAFKA_BOOTSTRAP"], user, self._env[f"KAFKA_PASSWORD_{user.upper()}"]),
            group_id=None,
            enable_auto_commit=False,
            max_partition_fetch_bytes=16 << 20,
            fetch_max_bytes=64 << 20,
            isolation_level=self.isolation,
        )

    def send(self, values: Iterable[bytes | None], run: str = "gateway-1") -> None:
        """Send values as the gateway does, numbered within a feed."""
        producer = Producer(
            {
                **librdkafka_login(self._env["KAFKA_BOOTSTRAP"], "gateway", self._env["KAFKA_PASSWORD_GATEWAY"]),
                "message.max.bytes": CONTRACT.topic.max_message_bytes,
            }
        )
        for seq, value in enumerate(values, 1):
            headers = [("run", run.encode()), ("seq", b"%d" % seq), ("status_at", b"2026-11-20T09:00:00Z")]
            producer.produce(self._entity.topic.name, key=b"c1", value=value, headers=headers)
        assert producer.flush(60) == 0

    def drain(self) -> int:
        """Write everything that has arrived as one batch, dead letters first; return the number of messages."""
        consumer = self._consumer("auditor")
        try:
            consumer.assign(self._partitions)
            ends = {p.partition: end for p, end in consumer.end_offsets(self._partitions).items()}
            for partition in self._partitions:
                consumer.seek(partition, self._next[partition.partition])
            rows = []
            while any(consumer.position(p) < ends[p.partition] for p in self._partitions):
                for messages in consumer.poll(timeout_ms=1000).values():
                    rows += [_row(message, self._topic_id, self._entity) for message in messages]
        finally:
            consumer.close()
        start, self._next = self._next, ends
        rows = rows[self.passes_over :]
        counts = Counter(row["partition"] for row in rows)
        missing = {p: end - start[p] - counts[p] for p, end in ends.items()}
        gaps = {str(p): count for p, count in missing.items() if count}
        for table in (self.writer.dead_letters, self.writer.bronze):
            self.writer.write(table, rows, start, ends, {"gaps": gaps})
        return len(rows)


def _row(message: Any, topic_id: str, entity: Entity) -> dict[str, Any]:
    verdict = judge(message.value, entity)
    headers = dict(message.headers)

    def text(name: str) -> str | None:
        return headers[name].decode() if name in headers else None

    arrived = datetime.fromtimestamp(message.timestamp / 1000, UTC)
    row: dict[str, Any] = {
        "raw_value": message.value,
        "message_key": message.key,
        "run": text("run"),
        "seq": int(headers["seq"]) if "seq" in headers else None,
        "status_at": datetime.fromisoformat(headers["status_at"].decode()) if "status_at" in headers else None,
        "contract_version": text("contract"),
        "redrive_of": text("redrive-of"),
        "topic_id": topic_id,
        "topic": entity.topic.name,
        "partition": message.partition,
        "offset": message.offset,
        "arrived_at": arrived,
        "year": arrived.year,
        "month": arrived.month,
        "day": arrived.day,
    }
    if verdict.reasons or verdict.event is None:
        return row | {"reasons": sorted(verdict.reasons)}
    fields = {f.stored_as: verdict.stated(f) for f in entity.fields}
    typed = {"utc_offset_minutes": verdict.utc_offset_minutes, "unknown_fields": verdict.unknown_fields}
    return row | fields | typed
