"""How far a table has got, by its own record: the end offset of every partition, in the metadata of each commit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FORMAT = 1

Ends = Mapping[int, int]


@dataclass(frozen=True)
class Recorded:
    """What a table's last commit of data says.

    Attributes:
        topic_id: Kafka's id of the topic that the table was filled from; None for a table without a commit of ours.
        ends: for each partition the first offset that the table does not have yet.
        begins: the commit only says where the table begins with the topic; no batch has followed it.
    """

    topic_id: str | None = None
    ends: Ends = field(default_factory=dict)
    begins: bool = False


def commit_metadata(topic: str, topic_id: str, start: Ends, end: Ends, rows: int, **more: Any) -> str:
    """Return the text that goes into a commit's userMetadata; readers of the lake rely on its form."""
    record = {
        "tieout": FORMAT,
        "topic_id": topic_id,
        "topic": topic,
        "start": {str(partition): start[partition] for partition in sorted(start)},
        "end": {str(partition): end[partition] for partition in sorted(end)},
        "rows": rows,
        **more,
    }
    return json.dumps(record, separators=(",", ":"))


def read_metadata(text: str | None) -> Recorded | None:
    """Return the ends that a commit's userMetadata holds; None for a commit that is not ours."""
    try:
        record = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("tieout") != FORMAT:
        return None
    ends = {int(partition): end for partition, end in record["end"].items()}
    return Recorded(record["topic_id"], ends, begins=record.get("begins") is True)


def further(one: Ends, other: Ends) -> dict[int, int]:
    """Return the higher end of every partition."""
    return {partition: max(one.get(partition, 0), other.get(partition, 0)) for partition in one.keys() | other.keys()}


def lower(one: Ends, other: Ends) -> dict[int, int]:
    """Return the lower end of every partition; a partition that one table does not know counts as 0."""
    return {partition: min(one.get(partition, 0), other.get(partition, 0)) for partition in one.keys() | other.keys()}


def moves_on(ends: Ends, batch: Ends) -> bool:
    """Return whether a batch that ends at `batch` has anything that a table with `ends` has not."""
    return any(end > ends.get(partition, 0) for partition, end in batch.items())


def show(start: Ends, end: Ends) -> str:
    """Return the offsets of a batch for people: `0:17-40 3:5-6`, without partitions that have nothing new."""
    spans = [f"{p}:{start.get(p, 0)}-{end[p]}" for p in sorted(end) if end[p] > start.get(p, 0)]
    return " ".join(spans) or "none"
