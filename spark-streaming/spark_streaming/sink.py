"""A batch into the lake, exactly once: dead letters first, then bronze, each by its own recorded ends."""

import time
from collections import Counter
from dataclasses import dataclass, field

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import lit

from contracts.model import Contract
from core import failpoints
from spark_streaming import tables
from spark_streaming.classify import classify
from spark_streaming.ends import Ends, commit_metadata, further, moves_on, not_yet_written, show
from spark_streaming.errors import LakeStateError
from spark_streaming.tables import LakeTable

# So many rows are worth a file of their own, as long as a core is free to write it.
ROWS_PER_FILE = 25_000


@dataclass(frozen=True)
class BatchReport:
    """What a batch did, for the log."""

    batch: int
    start: Ends
    end: Ends
    rows: int
    written: Counter[str]
    reasons: Counter[str]
    seconds: float

    def __str__(self) -> str:
        reasons = ", ".join(f"{code} {count}" for code, count in self.reasons.most_common())
        return (
            f"batch {self.batch}: rows={self.rows} bronze={self.written['bronze']} "
            f"dead_letters={self.written['dead_letters']}{f' ({reasons})' if reasons else ''} "
            f"offsets={show(self.start, self.end)} seconds={self.seconds:.1f}"
        )


@dataclass
class LakeWriter:
    """The only writer of the lake's tables.

    Attributes:
        ends: how far each table has got; moves only when a commit is made.
        position: where the next batch begins.
    """

    spark: SparkSession
    contract: Contract
    bronze: LakeTable
    dead_letters: LakeTable
    topic: str
    topic_id: str
    sentinel: str
    ends: dict[str, Ends]
    position: Ends = field(default_factory=dict)

    def write(self, messages: DataFrame, batch: int, end: Ends) -> BatchReport:
        """Write what the tables do not have yet of the messages up to `end`.

        Args:
            messages: what Kafka's source gives.
            batch: number of the batch, for the log only: it starts again at 0 with each start of the stream.
            end: for each partition the first offset behind the batch.

        Raises:
            LakeStateError: the batch begins behind the end of a table: something between would be lost.
        """
        began, start = time.monotonic(), self.position
        self._refuse_gap(start, end)
        judged = classify(messages, self.contract, self.sentinel).withColumn("topic_id", lit(self.topic_id))
        judged = judged.persist(StorageLevel.MEMORY_AND_DISK)
        try:
            counts = judged.groupBy("reasons").count().collect()
            reasons: Counter[str] = Counter()
            for row in counts:
                reasons.update(dict.fromkeys(row["reasons"], row["count"]))
            rows = sum(row["count"] for row in counts)
            broken = sum(row["count"] for row in counts if row["reasons"])
            letters = self._commit(self.dead_letters, judged.where("size(reasons) > 0"), end, broken)
            failpoints.reach("stream.after-dead-letters")
            events = self._commit(self.bronze, judged.where("size(reasons) = 0"), end, rows - broken)
        finally:
            judged.unpersist()
        self.position = end
        written = Counter({self.dead_letters.name: letters, self.bronze.name: events})
        return BatchReport(batch, start, end, rows, written, reasons, time.monotonic() - began)

    def _refuse_gap(self, start: Ends, end: Ends) -> None:
        for name, ends in self.ends.items():
            for partition in end:
                begins, had = start.get(partition, 0), ends.get(partition, 0)
                if begins > had:
                    raise LakeStateError(
                        f"The batch begins at offset {begins} of partition {partition}; {name} has only got to {had}.",
                        "nothing of the batch was written.",
                        "./scripts/tieout stream (it begins again at what the tables record)",
                    )

    def _commit(self, table: LakeTable, part: DataFrame, end: Ends, count: int) -> int:
        """Commit one table's part; return how many rows it got. Nothing is committed where all is there already.

        Args:
            count: rows of the part, those that the table has already counted in.
        """
        had = self.ends[table.name]
        if not moves_on(had, end):
            return 0
        new = part
        if any(had.get(partition, 0) > self.position.get(partition, 0) for partition in end):
            new = part.where(not_yet_written(had))
            count = new.count()
        # An empty part still commits: the ends move on in both tables.
        files = min(self.spark.sparkContext.defaultParallelism, 1 + count // ROWS_PER_FILE)
        rows = new.coalesce(files) if count else new.limit(0)
        self._append(table, rows, further(had, end), count)
        return count

    def _append(self, table: LakeTable, rows: DataFrame, end: Ends, count: int) -> None:
        had = self.ends[table.name]
        metadata = commit_metadata(self.topic, self.topic_id, {**dict.fromkeys(end, 0), **had}, end, count)
        # Second guard. Never the batch number: it starts again at 0, whereupon Delta would pass over every write.
        tables.append(table, rows, metadata, tables.app_id(table, self.topic_id), sum(end.values()))
        self.ends[table.name] = end
