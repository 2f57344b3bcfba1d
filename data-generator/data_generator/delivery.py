"""Hands messages to the broker: idempotent, acknowledged by all replicas, patient with a broker that is away."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient

from core import failpoints
from core.kafka_login import KafkaPlace, librdkafka_login
from core.topic_id import normalise_topic_id
from data_generator.errors import BrokerError, MessageError
from data_generator.stopping import Stop

SAY_EVERY_SECONDS = 10.0
POLL_EVERY = 64
_LOG = logging.getLogger("data_generator.librdkafka")
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False

_BAD_LOGIN = "refuses the login of user gateway (is KAFKA_PASSWORD_GATEWAY the broker's?)"
_NO_TOPIC = "has no such topic, or hides it from user gateway"
# Errors that waiting does not heal.
_REFUSALS = {
    KafkaError._AUTHENTICATION: _BAD_LOGIN,
    KafkaError.SASL_AUTHENTICATION_FAILED: _BAD_LOGIN,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "does not allow user gateway to write the topic",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "does not allow user gateway to write any topic",
    KafkaError.UNKNOWN_TOPIC_OR_PART: _NO_TOPIC,
    KafkaError._UNKNOWN_TOPIC: _NO_TOPIC,
}
_PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)
_UNDER_WAY = "under way"
_CONNECTION = ("bootstrap", "security", "sasl", "ssl", "log_level")
_BROKER_NEXT = "./scripts/tieout doctor; the broker's own words: ./scripts/tieout logs kafka"


class Message(NamedTuple):
    """A Kafka message as it is sent, and sent again."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, str | bytes | None]]


def producer_settings(broker: KafkaPlace | str, password: str, max_message_bytes: int) -> dict[str, Any]:
    """Return librdkafka's settings for the gateway."""
    return {
        **librdkafka_login(broker, "gateway", password),
        "client.id": "tieout-gateway",
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": 20,
        "batch.size": 262_144,
        "message.max.bytes": max_message_bytes,
        "queue.buffering.max.messages": 6_000,
        "queue.buffering.max.kbytes": 131_072,
        # 0 is for ever: a broker that is away is waited for. What ends the waiting is a signal, not a clock.
        "message.timeout.ms": 0,
        "reconnect.backoff.max.ms": 2_000,
        "log_level": 2,
    }


class Delivery:
    """Messages on their way to one topic.

    Args:
        settings: librdkafka's, see `producer_settings`.
        acknowledged: called with (number, partition, offset) for every message that the broker has.
        say: told that the broker is away, every ten seconds.
        certificate: says what is wrong with a certificate, if anything; asked when a connection with TLS fails.

    Attributes:
        on_poll: called whenever acknowledgements were served.
        topic_id: Kafka's id of the topic, once connected; None when the broker does not tell.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        topic: str,
        stop: Stop,
        acknowledged: Callable[[int, int, int], None],
        say: Callable[[str], None],
        *,
        certificate: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._certificate = certificate
        self._bootstrap = settings["bootstrap.servers"]
        self._topic = topic
        self._stop = stop
        self._acknowledged = acknowledged
        self._say = say
        self._flying: dict[int, Message] = {}
        self._unsendable: dict[int, Message] = {}
        self._trouble = "no answer"
        self._refusal: str | None = None
        self._moved = self._said = time.monotonic()
        self._sends = 0
        self._control_total: str | None = None
        self.on_poll: Callable[[], None] = _nothing
        self.topic_id: str | None = None
        self._producer = Producer(settings | {"error_cb": self._on_error}, logger=_LOG)

    @property
    def waiting(self) -> int:
        """How many messages the broker has not acknowledged yet."""
        return len(self._flying) + len(self._unsendable)

    @property
    def is_refused(self) -> bool:
        """The broker refuses what waiting would not heal."""
        return self._refusal is not None

    def connect(self) -> bool:
        """Wait until the broker answers and has the topic; False when stopped before.

        Raises:
            BrokerError: the broker refuses the login or has no such topic.
        """
        since = time.monotonic()
        while not self._stop.requested:
            try:
                topics = self._producer.list_topics(self._topic, timeout=2).topics
                if topics[self._topic].error is None:
                    self.topic_id = self._ask_topic_id()
                    self._moved = time.monotonic()
                    return True
                self._note_error(topics[self._topic].error)
            except KafkaException as error:
                self._note_error(error.args[0])
            self._producer.poll(0)
            self._check(nothing_sent=True)
            self._complain(since)
        return False

    def send(self, number: int, message: Message) -> bool:
        """Take a message; waits while the queue is full. False when stopped before it was taken.

        A message that is not taken because of an error counts as not acknowledged: `give_up` returns it.

        Raises:
            BrokerError: the broker refuses what waiting would not heal.
            MessageError: no broker would take this message.
        """
        self._flying[number] = message
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    key=message.key,
                    value=message.value,
                    headers=message.headers,
                    on_delivery=partial(self._on_delivery, number),
                )
                break
            except BufferError:
                self.poll(0.2)
                if self._stop.requested:
                    del self._flying[number]
                    return False
            except (KafkaException, TypeError, ValueError) as error:
                self._unsendable[number] = self._flying.pop(number)
                kafka = error.args[0] if isinstance(error, KafkaException) else None
                raise MessageError(number, kafka.str() if kafka is not None else str(error)) from None
        self._sends += 1
        if self._sends % POLL_EVERY == 0:
            self.poll(0)
        return True

    def poll(self, seconds: float) -> None:
        """Serve acknowledgements for a while; say so when the broker is away.

        Raises:
            BrokerError: the broker refuses what waiting would not heal.
        """
        self._producer.poll(seconds)
        self._check()
        if self._flying:
            self._complain(self._moved)
        self.on_poll()

    def send_control_total(self, topic: str, key: bytes, value: bytes) -> bool:
        """Send a word beside the messages, one at a time; False when the one before it is still under way."""
        if self._control_total == _UNDER_WAY:
            return False
        try:
            self._producer.produce(topic, key=key, value=value, on_delivery=self._on_control_total)
        except (BufferError, KafkaException):
            return False
        self._control_total = _UNDER_WAY
        return True

    def control_total_sent(self) -> str | None:
        """Wait until the broker has the last word, or refuses it, or a stop leaves no time; return what went wrong."""
        since = time.monotonic()
        while self._control_total == _UNDER_WAY and not self._stop.expired:
            self._producer.flush(0.2)
            if self._refusal is not None:
                return f"the broker {self._refusal}"
            self._complain(since)
        return "stopped before the broker answered" if self._control_total == _UNDER_WAY else self._control_total

    def finish(self) -> None:
        """Wait until every message is acknowledged, or until a stop leaves no time for it.

        Raises:
            BrokerError: the broker refuses what waiting would not heal.
        """
        failpoints.reach("producer.before-flush")
        while self._flying and not self._stop.expired:
            self._producer.flush(0.2)
            self._check()
            if self._flying:
                self._complain(self._moved)

    def give_up(self) -> list[Message]:
        """Forget what is not acknowledged and return it, in the order it was sent."""
        self._producer.purge()
        self._producer.poll(0)
        left = self._flying | self._unsendable
        return [left[number] for number in sorted(left)]

    def _ask_topic_id(self) -> str | None:
        asked = {name: value for name, value in self._settings.items() if name.split(".")[0] in _CONNECTION}
        try:
            admin = AdminClient(asked)  # kept until the answer is here: it would take the question along
            described = admin.describe_topics(TopicCollection([self._topic]), request_timeout=5)
            return normalise_topic_id(str(described[self._topic].result(timeout=6).topic_id))
        except (KafkaException, TimeoutError):
            return None

    def _on_delivery(self, number: int, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self._note_error(error)
            # What is worth another try librdkafka tries by itself, for ever: this is its last word on the message.
            if self._refusal is None and error.code() not in _PURGED:
                self._refusal = f"does not take event {number}: {error.str()}"
            return
        del self._flying[number]
        self._moved = time.monotonic()
        self._acknowledged(number, message.partition(), message.offset())

    def _on_control_total(self, error: KafkaError | None, _message: Any) -> None:
        self._control_total = None if error is None else error.str()

    def _on_error(self, error: KafkaError) -> None:
        self._note_error(error)

    def _note_error(self, error: KafkaError) -> None:
        code = error.code()
        if code in _PURGED:
            return
        if code in _REFUSALS:
            self._refusal = _REFUSALS[code]
        elif code == KafkaError._SSL and (trouble := self._certificate()):
            self._refusal = f"cannot be spoken to: {trouble}"
        elif error.fatal():
            self._refusal = f"ended the idempotent session: {error.str()}"
        elif code not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT):
            self._trouble = error.str()

    def _check(self, *, nothing_sent: bool = False) -> None:
        if self._refusal is not None:
            raise BrokerError(
                f"the broker at {self._bootstrap} {self._refusal} (topic {self._topic}).",
                "nothing was sent." if nothing_sent else f"{len(self._flying)} events are not acknowledged.",
                _BROKER_NEXT,
            )

    def _complain(self, since: float) -> None:
        now = time.monotonic()
        if now - since >= SAY_EVERY_SECONDS and now - self._said >= SAY_EVERY_SECONDS:
            self._said = now
            self._say(
                f"waiting for the broker at {self._bootstrap} for {now - since:.0f} s: {self._trouble}; "
                f"{len(self._flying)} events are kept and sent when it is back"
            )


def _nothing() -> None:
    pass
