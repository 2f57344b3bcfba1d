"""Alerts to their topic, at least once: committed first, sent then, marked when the broker has them."""

import logging
from typing import Any

import orjson
import psycopg
from confluent_kafka import KafkaError, Message, Producer

from core.settings import Settings
from live.alerts.judge import Alert

Connection = psycopg.Connection[Any]

PAGE = 1_000
_LOG = logging.getLogger("live.librdkafka")
_UNSENT = """
select alert_id, rule_code, rule_version, customer_id, transaction_id, status, amount::text, currency, merchant_name,
    merchant_category, city, state, country, occurred_at, topic_id, partition, "offset", evidence
from live.alerts where published_at is null order by alert_id limit %s
"""
_NAMES = (
    "alert_id", "rule_code", "rule_version", "customer_id", "transaction_id", "status", "amount", "currency",
    "merchant_name", "merchant_category", "city", "state", "country", "occurred_at", "topic_id", "partition", "offset",
    "evidence",
)  # fmt: skip


class Outbox:
    """Sends alerts and notes which the broker has.

    What was not acknowledged when a process died is sent again by the next: same key, same value.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._topic = topic
        self._delivered: list[str] = []
        self._lost = False
        self._producer = Producer(
            {
                **settings.kafka_login("live"),
                "client.id": "tieout-live-alerts",
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 20,
                "message.timeout.ms": 60_000,
                "log_level": 2,
            },
            logger=_LOG,
        )

    def send(self, alerts: list[Alert]) -> None:
        """Hand over alerts that are committed."""
        for alert in alerts:
            one = alert.seen
            self._produce(
                dict(
                    zip(
                        _NAMES,
                        (
                            alert.alert_id, alert.rule.code, alert.rule.version, one.customer_id, one.transaction_id,
                            one.status, f"{one.amount:.4f}", one.currency, one.merchant_name, one.merchant_category,
                            one.city, one.state, one.country, one.occurred_at, one.place.topic_id,
                            one.place.partition, one.place.offset, alert.evidence,
                        ),
                        strict=True,
                    )
                )
            )  # fmt: skip

    def resume(self, connection: Connection) -> None:
        """Hand over what an earlier process committed and did not see acknowledged."""
        for row in connection.execute(_UNSENT, [PAGE]).fetchall():
            self._produce(dict(zip(_NAMES, row, strict=True)))

    def note_delivered(self, connection: Connection) -> None:
        """Mark what the broker has; what it did not take in time is handed over again."""
        self._producer.poll(0)
        if self._delivered:
            delivered, self._delivered = self._delivered, []
            connection.execute(
                "update live.alerts set published_at = clock_timestamp() where alert_id = any(%s) "
                "and published_at is null",
                [delivered],
            )
        if self._lost:
            self._lost = False
            self.resume(connection)

    def finish(self, connection: Connection) -> None:
        """Wait a while for what is on its way, and mark it."""
        self._producer.flush(10)
        self.note_delivered(connection)

    def close(self) -> None:
        """Let go of what is on its way: the next process sends it again."""
        self._producer.purge()

    def _produce(self, value: dict[str, Any]) -> None:
        try:
            message = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:  # it stays in live.alerts, unpublished, and keeps no other one back
            return
        try:
            self._producer.produce(self._topic, key=value["alert_id"].encode(), value=message, on_delivery=self._noted)
        except BufferError:
            self._lost = True

    def _noted(self, error: KafkaError | None, message: Message) -> None:
        key = message.key()
        if error is not None or key is None:
            self._lost = True
        else:
            self._delivered.append(key.decode() if isinstance(key, bytes) else key)
