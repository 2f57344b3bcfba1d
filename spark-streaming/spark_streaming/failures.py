"""What an exception of Spark, Delta or the Kafka client means for a person."""

from core.errors import TieoutError
from core.settings import Settings
from spark_streaming.broker import explain as explain_broker
from spark_streaming.errors import LakeFullError, OffsetsLostError, PartitionsAddedError, StreamError

WHOLE = "the lake's tables are whole and say how far they have got."
FULL = ("No space left on device", "Disk quota exceeded", "ENOSPC")
LOST = ("OffsetOutOfRange", "KAFKA_DATA_LOSS", "Some data may have been lost", "failOnDataLoss")
ADDED = "you must specify all TopicPartitions"
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
