"""What the stream asks of Kafka beside the events: the topic's id, its partitions, and the offsets that are there.

The questions go through the Kafka client in Spark's own JVM: the same client, user and password as the stream's.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from py4j.java_gateway import JVMView
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession

from core.kafka_certificates import MEND, certificate_trouble
from core.kafka_login import java_login
from core.settings import Settings
from spark_streaming.ends import Ends
from spark_streaming.errors import BrokerAwayError, BrokerError

READY = "./scripts/tieout logs kafka, or ./scripts/tieout doctor"


@dataclass(frozen=True)
class TopicState:
    """A topic as the broker has it now.

    Attributes:
        first: for each partition the oldest offset that is still there.
        next: for each partition the offset that the next message will get.
    """

    name: str
    topic_id: str
    first: Ends
    next: Ends


def client_options(settings: Settings) -> dict[str, str]:
    """Return the settings of a Kafka client of the user `stream`. They hold the password: never log them."""
    password = settings.kafka_password("stream", "nothing was started or written.")
    milliseconds = str(settings.kafka_patience_seconds * 1000)
    return {
        **java_login(settings.kafka_place, "stream", password),
        # Spark's own client dies at start when the second is shorter than the first.
        "request.timeout.ms": milliseconds,
        "default.api.timeout.ms": str(2 * settings.kafka_patience_seconds * 1000),
    }


def source_options(settings: Settings) -> dict[str, str]:
    """Return the settings of Spark's Kafka source: its client's, as the source names them. Never log them either."""
    # The source asks where the topic ends after each fetch, and the broker answers in turn: a fetch that waits at the
    # topic's end, by default half a second, holds that answer up.
    options = {**client_options(settings), "fetch.max.wait.ms": "10", "isolation.level": "read_committed"}
    return {f"kafka.{name}": value for name, value in options.items()}


def read_uncommitted(spark: SparkSession, settings: Settings, topic: str, *, start: Ends, end: Ends) -> DataFrame:
    """Return partition and offset of every record of a batch, also of transactions that were aborted.

    Args:
        start: for each partition the first offset.
        end: for each of the same partitions the offset behind the last one.
    """

    def written(ends: Ends) -> str:
        return json.dumps({topic: {str(partition): offset for partition, offset in ends.items()}})

    return (
        spark.read.format("kafka")
        .options(**source_options(settings))
        .option("kafka.isolation.level", "read_uncommitted")
        .option("assign", json.dumps({topic: list(end)}))
        .option("startingOffsets", written(start))
        .option("endingOffsets", written(end))
        .option("failOnDataLoss", "true")
        .load()
        .select("partition", "offset")
    )


def look(spark: SparkSession, settings: Settings, topic: str) -> TopicState:
    """Return the topic's id, partitions and offsets.

    Raises:
        BrokerError: the broker is away, refuses the user, or has no such topic that the user may read.
    """
    with _admin(spark, settings, topic) as (jvm, admin):
        return _ask(jvm, admin, topic, settings.kafka_patience_seconds)


def is_compacted(spark: SparkSession, settings: Settings, topic: str) -> bool:
    """Say whether the broker may remove single records of the topic, newer ones of the same key being there.

    Raises:
        BrokerError: the broker is away, or refuses the user.
    """
    with _admin(spark, settings, topic) as (jvm, admin):
        config = jvm.org.apache.kafka.common.config
        place = config.ConfigResource(config.ConfigResource.Type.TOPIC, topic)
        seconds = jvm.java.util.concurrent.TimeUnit.SECONDS
        described = admin.describeConfigs(jvm.java.util.Collections.singletonList(place)).all()
        policy = described.get(settings.kafka_patience_seconds, seconds).get(place).get("cleanup.policy").value()
        return "compact" in str(policy)


@contextmanager
def _admin(spark: SparkSession, settings: Settings, topic: str) -> Iterator[tuple[JVMView, Any]]:
    jvm = spark._jvm
    assert jvm is not None  # noqa: S101 - only Spark Connect has none
    options = jvm.java.util.Properties()
    for key, value in client_options(settings).items():
        options.setProperty(key, value)
    admin = jvm.org.apache.kafka.clients.admin.Admin.create(options)
    try:
        yield jvm, admin
    except Py4JJavaError as error:
        raise explain(str(error.java_exception), settings, topic) from error
    finally:
        admin.close(jvm.java.time.Duration.ofSeconds(1))


def _ask(jvm: JVMView, admin: Any, topic: str, patience: int) -> TopicState:
    seconds = jvm.java.util.concurrent.TimeUnit.SECONDS
    described = admin.describeTopics(jvm.java.util.Collections.singletonList(topic)).allTopicNames()
    description = described.get(patience, seconds).get(topic)
    numbers = [info.partition() for info in description.partitions()]
    spec = jvm.org.apache.kafka.clients.admin.OffsetSpec
    offsets = []
    for position in (spec.earliest(), spec.latest()):
        request = jvm.java.util.HashMap()
        for number in numbers:
            request.put(jvm.org.apache.kafka.common.TopicPartition(topic, number), position)
        answer = admin.listOffsets(request).all().get(patience, seconds)
        offsets.append({entry.getKey().partition(): entry.getValue().offset() for entry in answer.entrySet()})
    return TopicState(topic, description.topicId().toString(), *offsets)


def explain(text: str, settings: Settings, topic: str) -> BrokerError:
    """Return the error for people that a Kafka client's exception stands for."""
    left = "the lake's tables are whole and say how far they have got."
    if trouble := certificate_trouble(settings.kafka_place, "stream"):
        return BrokerError(f"The stream cannot read Kafka: {trouble}.", left, MEND)
    if "Authentication" in text or "SaslException" in text:
        return BrokerError(
            f"Kafka at {settings.kafka_bootstrap} refuses the user stream: wrong password.",
            left,
            "compare KAFKA_PASSWORD_STREAM in .env with the broker's, or ./scripts/tieout doctor",
        )
    if "Authorization" in text or "UnknownTopicOrPartition" in text:
        return BrokerError(
            f"Kafka at {settings.kafka_bootstrap} has no topic {topic} that stream may read.",
            left,
            "./scripts/start.sh (it makes topics and rights)",
        )
    return BrokerAwayError(f"Kafka at {settings.kafka_bootstrap} does not answer: {text.splitlines()[0]}.", left, READY)
