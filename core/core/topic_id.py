"""A topic's id in one spelling: clients write the same 16 bytes in three."""

from base64 import urlsafe_b64encode
from uuid import UUID


def normalise_topic_id(topic_id: UUID | str) -> str:
    """Return a topic's id as the broker and the lake write it: base64 with - and _, without padding.

    Args:
        topic_id: kafka-python's UUID, or librdkafka's base64 with + and /.
    """
    if isinstance(topic_id, UUID):
        return urlsafe_b64encode(topic_id.bytes).decode().rstrip("=")
    return topic_id.rstrip("=").replace("+", "-").replace("/", "_")
