"""A batch into the lake, exactly once: dead letters first, then bronze, each by its own recorded ends."""

import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import lit, size

from contracts.model import Contract
from core import failpoints
from spark_streaming import tables
from spark_streaming.classify import classify
from spark_streaming.ends import Ends, commit_metadata, further, moves_on, not_yet_written, show
from spark_streaming.errors import LakeStateError
from spark_streaming.gaps import Topic, explain_gaps
from spark_streaming.start import Acceptance, Loss
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
    gaps: int = 0

    def __str__(self) -> str:
        reasons = ", ".join(f"{code} {count}" for code, count in self.reasons.most_common())
        return (
            f"batch {self.batch}: rows={self.rows} bronze={self.written['bronze']} "
            f"dead_letters={self.written['dead_letters']}{f' ({reasons})' if reasons else ''} "
            f"{f'without_event={self.gaps} ' if self.gaps else ''}"
            f"offsets={show(self.start, self.end)} seconds={self.seconds:.1f}"
        )


@dataclass(frozen=True)
class _Batch:
    """A judged batch, or the part of it that a table does not have yet.

    Attributes:
        judged: its messages, each with the reasons why it is malformed.
        start: for each partition its first offset.
        end: for each partition the first offset behind it.
        counts: its messages by partition, and by whether they are malformed.
        lost: offsets without a message that an operator has accepted as lost.
    """

    judged: DataFrame
    start: Ends
    end: Ends
    counts: Counter[tuple[int, bool]]
    lost: tuple[Loss, ...] = ()

    @property
    def missing(self) -> dict[int, int]:
        """How many offsets of each partition no message has; partitions without any are left out."""
        rows = {p: self.counts[p, True] + self.counts[p, False] for p in self.end}
        missing = {p: self.end[p] - self.start[p] - rows[p] for p in self.end}
        return {partition: count for partition, count in missing.items() if count}

    @property
    def gaps(self) -> dict[int, int]:
        """The missing offsets that are a transaction's."""
        lost: Counter[int] = Counter()
        for loss in self.lost:
            lost[loss.partition] += loss.end - loss.first
        return {p: count - lost[p] for p, count in self.missing.items() if count > lost[p]}

    def of(self, malformed: bool) -> int:
        """How many messages are malformed, or are not."""
        return sum(count for (_, each), count in self.counts.items() if each == malformed)

    def behind(self, had: Ends) -> "_Batch":
        """Return what a table with these ends does not have yet."""
        start = {p: max(self.start[p], had.get(p, 0)) for p in self.end}
        if start == self.start:
            return self
        judged = self.judged.where(not_yet_written(had))
        lost = (Loss(loss.partition, max(loss.first, start[loss.partition]), loss.end) for loss in self.lost)
        return _Batch(
            judged,
            start,
            further(start, self.end),
            _count(judged),
            tuple(loss for loss in lost if loss.first < loss.end),
        )


def _count(judged: DataFrame) -> Counter[tuple[int, bool]]:
    rows = judged.groupBy("partition", (size("reasons") > 0).alias("malformed")).count().collect()
    return Counter({(row["partition"], row["malformed"]): row["count"] for row in rows})


@dataclass
class LakeWriter:
    """The only writer of the lake's tables.

    Attributes:
        ends: how far each table has got; moves only when a commit is made.
        position: where the next batch begins.
        kafka: how to ask about offsets that no message has.
        acceptance: losses that an operator has accepted.
    """

    spark: SparkSession
    contract: Contract
    bronze: LakeTable
    dead_letters: LakeTable
    topic: str
    topic_id: str
    sentinel: str
    ends: dict[str, Ends]
    position: Ends
    kafka: Topic
    acceptance: Acceptance | None = None

    def write(self, messages: DataFrame, batch: int, end: Ends) -> BatchReport:
        """Write what the tables do not have yet of the messages up to `end`.

        Args:
            messages: what Kafka's source gives.
            batch: number of the batch, for the log only: it starts again at 0 with each start of the stream.
            end: for each partition the first offset behind the batch.

        Raises:
            LakeStateError: the batch begins behind the end of a table: something between would be lost.
            OffsetsMissingError: messages and gaps that are explained do not add up to the batch's offsets.
        """
        began, start = time.monotonic(), self.position
        self._refuse_gap(start, end)
        judged = classify(messages, self.contract, self.sentinel).withColumn("topic_id", lit(self.topic_id))
        judged = judged.persist(StorageLevel.MEMORY_AND_DISK)
        try:
            counts: Counter[tuple[int, bool]] = Counter()
            reasons: Counter[str] = Counter()
            for row in judged.groupBy("partition", "reasons").count().collect():
                counts[row["partition"], bool(row["reasons"])] += row["count"]
                for reason in row["reasons"]:
                    reasons[reason] += row["count"]
            read = self._explain(_Batch(judged, {p: start.get(p, 0) for p in end}, end, counts))
            letters = self._commit(self.dead_letters, read, malformed=True)
            failpoints.reach("stream.after-dead-letters")
            events = self._commit(self.bronze, read, malformed=False)
        finally:
            judged.unpersist()
        self.position = end
        written = Counter({self.dead_letters.name: letters, self.bronze.name: events})
        gone = sum(read.missing.values())
        return BatchReport(batch, start, end, counts.total(), written, reasons, time.monotonic() - began, gone)

    def _explain(self, batch: _Batch) -> _Batch:
        """Return the batch with its accepted losses; refuse one that does not add up."""
        if not batch.missing:
            return batch
        lost = explain_gaps(self.kafka, batch.start, batch.end, batch.missing, self.acceptance)
        return replace(batch, lost=tuple(lost))

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

    def _commit(self, table: LakeTable, batch: _Batch, *, malformed: bool) -> int:
        """Commit one table's part; return how many rows it got. Nothing is committed where all is there already."""
        had = self.ends[table.name]
        if not moves_on(had, batch.end):
            return 0
        new = batch.behind(had)
        count = new.of(malformed)
        rows = new.judged.where("size(reasons) > 0" if malformed else "size(reasons) = 0")
        # An empty part still commits: the ends move on in both tables.
        files = min(self.spark.sparkContext.defaultParallelism, 1 + count // ROWS_PER_FILE)
        self._append(table, rows.coalesce(files) if count else rows.limit(0), new, count)
        return count

    def _append(self, table: LakeTable, rows: DataFrame, new: _Batch, count: int) -> None:
        had = self.ends[table.name]
        end = further(had, new.end)
        metadata = commit_metadata(
            self.topic, self.topic_id, {**dict.fromkeys(end, 0), **had}, end, count, **self._without_rows(new)
        )
        # Second guard. Never the batch number: it starts again at 0, whereupon Delta would pass over every write.
        tables.append(table, rows, metadata, tables.app_id(table, self.topic_id), sum(end.values()))
        self.ends[table.name] = end

    def _without_rows(self, new: _Batch) -> dict[str, Any]:
        """Return what a commit says of its offsets that are rows of neither table."""
        reason = self.acceptance.reason if self.acceptance else ""
        lost = [{"partition": p.partition, "from": p.first, "to": p.end, "reason": reason} for p in new.lost]
        gaps = {str(partition): count for partition, count in sorted(new.gaps.items())}
        return {**({"gaps": gaps} if gaps else {}), **({"lost": lost} if lost else {})}
