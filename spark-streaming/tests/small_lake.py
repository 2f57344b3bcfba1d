"""A lake in a folder, a topic that only the test knows, and what the tables hold afterwards."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.lake import Lake
from core.places import LocalPlace
from spark_streaming import tables
from spark_streaming.broker import TopicState
from spark_streaming.ends import Ends
from spark_streaming.gaps import Topic
from spark_streaming.owned_table import OwnedTable
from spark_streaming.sink import BatchReport, LakeWriter
from spark_streaming.start import Acceptance, open_lake

ARRIVED = datetime(2025, 11, 21, 23, 59, tzinfo=UTC)
MESSAGE = (
    "key binary, value binary, headers array<struct<key string, value binary>>, topic string, `partition` int, "
    "`offset` bigint, `timestamp` timestamp"
)
GOOD = json.dumps(
    {"transaction_id": "t1", "amount": 12.34, "status": "SUCCESS", "currency": "INR",
     "timestamp": "2025-11-21T10:11:12Z", "is_fraud": False}
).encode()  # fmt: skip
Offset = tuple[int, int]


@contextmanager
def dies_before_bronze() -> Iterator[None]:
    """Let the process "die" before any commit to bronze that is not the fence of who takes over."""
    commit = OwnedTable._commit

    def only_dead_letters(owned: OwnedTable, *arguments: Any, **more: Any) -> None:
        if owned.table.name == "bronze" and not more.get("fence"):
            raise OSError("killed here")
        commit(owned, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OwnedTable, "_commit", only_dead_letters)
        with pytest.raises(OSError, match="killed here"):
            yield


def topic_of(ends: dict[int, int], first: dict[int, int] | None = None, topic_id: str = "T1") -> TopicState:
    return TopicState("transactions", topic_id, first or dict.fromkeys(ends, 0), ends)


class SmallLake:
    """Offset n of a partition is malformed where n % 5 == 0.

    Attributes:
        markers: offsets at which Kafka has no record.
        aborted: offsets whose record only an uncommitted reader sees.
        first: what Kafka says is the first offset of a partition, when it is asked about gaps.
        is_compacted: what it says then of the topic.
    """

    arrived = ARRIVED
    markers: frozenset[Offset] = frozenset()
    aborted: frozenset[Offset] = frozenset()
    first: Ends = MappingProxyType({})
    is_compacted = False

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.contract = spark, load_entity(PAYMENTS)
        self.bronze, self.dead_letters = tables.stream_tables(Lake(LocalPlace(folder)), self.contract)

    def open(self, topic: TopicState, acceptance: Acceptance | None = None) -> LakeWriter:
        bronze, dead_letters, position = open_lake(topic, (self.bronze, self.dead_letters), acceptance)
        return LakeWriter(
            self.spark, self.contract, bronze, dead_letters, topic.name, topic.topic_id,
            position, Topic(self.uncommitted, lambda: self.first, lambda: self.is_compacted), acceptance,
        )  # fmt: skip

    def uncommitted(self, start: Ends, end: Ends) -> DataFrame:
        """Return what Kafka has between two ends."""
        offsets = [(p, n) for p in end for n in range(start[p], end[p]) if (p, n) not in self.markers]
        return self.spark.createDataFrame(offsets, "`partition` int, `offset` bigint")

    def value(self, offset: int) -> bytes:
        """Return what a message at this offset holds."""
        return b"no json" if offset % 5 == 0 else GOOD

    def messages(self, offsets: Iterable[Offset]) -> DataFrame:
        rows = [
            (b"k", self.value(offset), None, "transactions", partition, offset, self.arrived)
            for partition, offset in offsets
        ]
        return self.spark.createDataFrame(rows, MESSAGE)

    def write(self, writer: LakeWriter, end: dict[int, int], batch: int = 0) -> BatchReport:
        """Give the writer what Kafka would give from its position to `end`."""
        start = writer.position
        offsets = [(p, offset) for p in end for offset in range(start.get(p, 0), end[p])]
        given = [each for each in offsets if each not in self.markers | self.aborted]
        return writer.write(self.messages(given), batch, end)

    def offsets(self, table: tables.StreamTable) -> list[Offset]:
        rows = table.lake.delta().to_pyarrow_table(columns=["partition", "offset"]).to_pydict()
        return sorted(zip(rows["partition"], rows["offset"], strict=True))

    def metadata(self, table: tables.StreamTable) -> list[dict[str, Any]]:
        """Return our metadata of each commit but the fences, oldest first."""
        texts = [commit.get("userMetadata") for commit in reversed(table.lake.delta().history())]
        return [found for found in map(json.loads, filter(None, texts)) if not found.get("fence")]

    def check(self, ends: dict[int, int], first: dict[int, int] | None = None) -> None:
        """Every offset is in the right table, exactly once."""
        wanted = [(p, offset) for p, end in ends.items() for offset in range((first or {}).get(p, 0), end)]
        assert wanted
        assert Counter(self.offsets(self.dead_letters)) == Counter(o for o in wanted if o[1] % 5 == 0)
        assert Counter(self.offsets(self.bronze)) == Counter(o for o in wanted if o[1] % 5)
