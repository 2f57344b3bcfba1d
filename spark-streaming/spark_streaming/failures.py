"""What an exception of Spark, Delta or the Kafka client means for a person."""

import re

from core.errors import TieoutError
from core.settings import Settings
from spark_streaming.broker import explain as explain_broker
from spark_streaming.errors import (
    SAME_CHECKOUT,
    LakeAwayError,
    LakeFullError,
    OffsetsLostError,
    PartitionsAddedError,
    StreamError,
)

WHOLE = "the lake's tables are whole and say how far they have got."
FULL = ("No space left on device", "Disk quota exceeded", "ENOSPC")
LOST = ("OffsetOutOfRange", "KAFKA_DATA_LOSS", "Some data may have been lost", "failOnDataLoss")
ADDED = "you must specify all TopicPartitions"
# A worker's error comes as text, between the lines of its stack.
STORE_AWAY = re.compile(r"the store at \S+ does not answer: [^\n]*")
NO_PYTHON = re.compile(r'Cannot run program "([^"]+)"')
OTHER_PYTHON = re.compile(r"Python in worker has different version: (\S+) than that in driver: (\S+?),")
NO_PACKAGE = re.compile(r"No module named '([\w.]+)'")
BROKER = (
    "org.apache.kafka.common.errors",
    "org.apache.kafka.common.KafkaException",
    "Failed to create new KafkaAdminClient",
)


def explain(error: BaseException, settings: Settings, topic: str) -> TieoutError:
    """Return the error to show: the same one where it is ours already."""
    if isinstance(error, TieoutError):
        return error
    text = str(error)
    return _of_workers(text) or _of_spark(text, settings, topic)


def _of_workers(text: str) -> TieoutError | None:
    """Return what the error of a task means, where the machine or the store of the task is the cause."""
    if away := STORE_AWAY.search(text):
        return LakeAwayError(away[0], WHOLE, "./scripts/tieout doctor, then ./scripts/tieout stream")
    if lacking := NO_PYTHON.search(text) or NO_PACKAGE.search(text):
        return StreamError(
            f"An executor lacks the stream's Python: there is no {lacking[1]}.",
            WHOLE,
            SAME_CHECKOUT,
        )
    if other := OTHER_PYTHON.search(text):
        return StreamError(
            f"An executor has Python {other[1].strip('.')}, and the stream has {other[2]}.", WHOLE, SAME_CHECKOUT
        )
    return None


def _of_spark(text: str, settings: Settings, topic: str) -> TieoutError:
    if any(sign in text for sign in FULL):
        return LakeFullError(
            "There is no space left on the lake's disk.",
            f"{WHOLE} Files of the unfinished commit do not count; ./scripts/tieout maintain removes them later.",
            "make room, then ./scripts/tieout stream",
        )
    if any(sign in text for sign in LOST):
        return OffsetsLostError(
            f"Topic {topic} no longer has offsets that were to be read: {_first_line(text)}.",
            WHOLE,
            "./scripts/tieout stream (it names the offsets, and the option to accept the loss)",
        )
    if ADDED in text:
        return PartitionsAddedError(
            f"Topic {topic} was given partitions while the stream began.", WHOLE, "./scripts/tieout stream"
        )
    if any(sign in text for sign in BROKER):
        return explain_broker(text, settings, topic)
    return StreamError(f"The stream failed: {_first_line(text)}", WHOLE, "./scripts/tieout logs stream")


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    caused = [line for line in lines if line.startswith("Caused by:")]
    return (caused[-1] if caused else lines[0] if lines else "no message").removesuffix(".")[:400]
