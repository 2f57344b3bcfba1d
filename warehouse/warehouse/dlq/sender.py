"""The Kafka side of a redrive: user redrive, idempotent, acknowledged by all replicas, a page at a time."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from confluent_kafka import KafkaError, KafkaException, Producer

from contracts.control_total import ControlTotal
from contracts.model import Entity
from core import failpoints
from core.errors import OutageError, TieoutError
from core.kafka_certificates import certificate_trouble
from core.kafka_login import KafkaPlace, librdkafka_login
from warehouse.dlq.books import LEFT
from warehouse.dlq.intents import Sent
from warehouse.dlq.plan import Message

REDRIVE = "redrive"
PATIENCE_SECONDS = 60
_NEXT = "./scripts/tieout doctor; then ./scripts/tieout dlq redrive, which finishes it"
_LOG = logging.getLogger("warehouse.librdkafka")
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False
_BAD_LOGIN = "refuses the login of user redrive (is KAFKA_PASSWORD_REDRIVE the broker's?)"
_REFUSALS = {
    KafkaError._AUTHENTICATION: _BAD_LOGIN,
    KafkaError.SASL_AUTHENTICATION_FAILED: _BAD_LOGIN,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "does not allow user redrive to write the topic",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "has no such topic, or hides it from user redrive",
    KafkaError._UNKNOWN_TOPIC: "has no such topic, or hides it from user redrive",
    KafkaError.MSG_SIZE_TOO_LARGE: "does not take a message of this size",
}


class Sender:
    """Sends pages of messages, and control totals.

    Args:
        patience: seconds after which a broker that does not answer is an outage.
    """

    def __init__(self, broker: KafkaPlace, password: str, entity: Entity, patience: float = PATIENCE_SECONDS) -> None:
        self._broker, self._bootstrap, self._patience = broker, broker.bootstrap, patience
        self._topic, self._control = entity.topic.name, entity.platform.control_topics[REDRIVE].name
        self._refusal: str | None = None
        self._trouble = "no answer"
        self._producer = Producer(
            {
                **librdkafka_login(broker, REDRIVE, password),
                "client.id": "tieout-redrive",
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 20,
                "message.max.bytes": entity.topic.max_message_bytes,
                "message.timeout.ms": int(patience * 1000),
                "error_cb": self._on_error,
                "log_level": 2,
            },
            logger=_LOG,
        )

    def connect(self) -> None:
        """Return when the broker answers and has both topics: before that nothing is written down.

        Raises:
            OutageError: it does not answer in time.
            TieoutError: it refuses the login or the topic.
        """
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            try:
                wrong = [self._problem_of(topic) for topic in (self._topic, self._control)]
            except KafkaException as error:
                self._note(error.args[0])
            else:
                if wrong == [None, None]:
                    return
                self._note(wrong[0] or wrong[1])
            self._producer.poll(0)  # a refused login is told here
            self._check()
        raise self._away(0)

    def _problem_of(self, topic: str) -> Any:
        return self._producer.list_topics(topic, timeout=2).topics[topic].error

    def send(self, messages: Sequence[Message]) -> list[Sent]:
        """Send a page and return where the broker put each message, all of them.

        Raises:
            OutageError: some were not acknowledged in time; they may have arrived.
            TieoutError: the broker refuses.
        """
        sent: list[Sent] = []
        for message in messages:
            self._produce(
                self._topic, message.key, message.value, message.headers, self._noted(message.redrive_id, sent)
            )
            failpoints.reach("redrive.while-producing")
        self._flush(lambda: len(messages) - len(sent))
        return sent

    def announce(self, total: ControlTotal) -> None:
        """Send a control total and wait until the broker has it.

        Raises:
            OutageError: it was not acknowledged in time.
        """
        waiting = {total.run}

        def noted(error: KafkaError | None, _: Any) -> None:
            if error is None:
                waiting.clear()
            else:
                self._note(error)

        self._produce(self._control, total.key, total.value(), [], noted)
        self._flush(lambda: len(waiting))

    def _noted(self, redrive_id: UUID, sent: list[Sent]) -> Callable[[KafkaError | None, Any], None]:
        return partial(self._on_delivery, redrive_id, sent)

    def _on_delivery(self, redrive_id: UUID, sent: list[Sent], error: KafkaError | None, message: Any) -> None:
        if error is None:
            sent.append(Sent(redrive_id, message.partition(), message.offset()))
        else:
            self._note(error)

    def _produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
        noted: Callable[[KafkaError | None, Any], None],
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, key=key, value=value, headers=list(headers), on_delivery=noted)
            except BufferError:
                self._producer.poll(0.2)
                self._check()
            else:
                self._producer.poll(0)
                return

    def _flush(self, waiting: Callable[[], int]) -> None:
        # Every message ends within its own timeout, delivered or not.
        while self._producer.flush(0.5):
            self._check()
        self._check()
        if left := waiting():
            raise self._away(left)

    def _on_error(self, error: KafkaError) -> None:
        self._note(error)

    def _note(self, error: KafkaError) -> None:
        code = error.code()
        if code in _REFUSALS:
            self._refusal = _REFUSALS[code]
        elif code == KafkaError._SSL and (trouble := certificate_trouble(self._broker, REDRIVE)):
            self._refusal = f"cannot be spoken to: {trouble}"
        elif error.fatal():
            self._refusal = f"ended the idempotent session: {error.str()}"
        elif code not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._MSG_TIMED_OUT):
            self._trouble = error.str()

    def _check(self) -> None:
        if self._refusal is not None:
            raise TieoutError(
                f"the broker at {self._bootstrap} {self._refusal} (topics {self._topic}, {self._control}).", LEFT, _NEXT
            )

    def _away(self, left: int) -> OutageError:
        unsure = f"; {left} letters are sent and not acknowledged" if left else ""
        return OutageError(
            f"the broker at {self._bootstrap} does not answer within {self._patience:.0f} s: {self._trouble}{unsure}.",
            LEFT,
            _NEXT,
        )
