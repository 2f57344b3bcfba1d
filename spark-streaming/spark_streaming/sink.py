"""A batch into the lake, exactly once: dead letters first, then bronze, each by its own recorded ends.

Spark reads Kafka, plans and distributes; the Python workers judge and write the files of both tables; this process
commits them. No row comes back from the workers.
"""

import os
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from errno import ENOSPC
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from contracts.model import Entity
from core import failpoints
from core.files import write_file
from spark_streaming import names
from spark_streaming.code import fingerprint
from spark_streaming.ends import Ends, further, moves_on, show
from spark_streaming.errors import SAME_CHECKOUT, LakeStateError
from spark_streaming.gaps import Topic, explain_gaps
from spark_streaming.owned_table import OwnedTable
from spark_streaming.start import Acceptance, Loss
from spark_streaming.tables import offsets_in
from spark_streaming.task import DELIVERY, MARK, REPORT, Report, WriteFiles

# So many rows are worth a file of their own, as long as a core is free to write it.
ROWS_PER_FILE = 25_000


@dataclass(frozen=True)
class BatchReport:
    """What a batch did, for the log.

    Attributes:
        usual: messages that were judged the quick way.
        bronze: rows that became well-formed events.
        dead_letters: rows that became dead letters.
    """

    entity: Entity
    batch: int
    start: Ends
    end: Ends
    rows: int
    usual: int
    bronze: int
    dead_letters: int
    reasons: Counter[str]
    seconds: float
    gaps: int = 0

    def __str__(self) -> str:
        reasons = ", ".join(f"{code} {count}" for code, count in self.reasons.most_common())
        return (
            f"{names.prefix(self.entity)}batch {self.batch}: rows={self.rows} bronze={self.bronze} "
            f"dead_letters={self.dead_letters}{f' ({reasons})' if reasons else ''} "
            f"{f'without_event={self.gaps} ' if self.gaps else ''}"
            f"{f'unusual={1 - self.usual / self.rows:.1%} ' if self.rows else ''}"
            f"offsets={show(self.start, self.end)} seconds={self.seconds:.1f}"
        )


@dataclass(frozen=True)
class _Part:
    """Offsets of a batch that one table accounts for.

    Attributes:
        start: for each partition its first offset.
        end: for each partition the first offset behind it.
        rows: its messages by partition.
        lost: offsets without a message that an operator has accepted as lost.
    """

    start: Ends
    end: Ends
    rows: Counter[int]
    lost: tuple[Loss, ...] = ()

    @property
    def missing(self) -> dict[int, int]:
        """How many offsets of each partition no message has; partitions without any are left out."""
        missing = {p: self.end[p] - self.start[p] - self.rows[p] for p in self.end}
        return {partition: count for partition, count in missing.items() if count}

    @property
    def gaps(self) -> dict[int, int]:
        """The missing offsets that are a transaction's."""
        lost: Counter[int] = Counter()
        for loss in self.lost:
            lost[loss.partition] += loss.end - loss.first
        return {p: count - lost[p] for p, count in self.missing.items() if count > lost[p]}


@dataclass
class LakeWriter:
    """The only writer of an entity's tables.

    Attributes:
        position: where the next batch begins.
        kafka: how to ask about offsets that no message has.
        acceptance: losses that an operator has accepted.
    """

    spark: SparkSession
    entity: Entity
    bronze: OwnedTable
    dead_letters: OwnedTable
    topic: str
    topic_id: str
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
            LakeTakenError: another writer has taken a table over.
        """
        began, start = time.monotonic(), self.position
        self._refuse_gap(start, end)
        if not any(moves_on(owned.ends, end) for owned in (self.bronze, self.dead_letters)):
            # Spark makes a first batch also of a topic without news: it is not worth a task.
            self.position = end
            return BatchReport(self.entity, batch, start, end, 0, 0, 0, 0, Counter(), time.monotonic() - began)
        report = self._distribute(messages, start, end)
        if report.rows:
            failpoints.reach("stream.before-commit")
        whole = {p: start.get(p, 0) for p in end}
        missing = _Part(whole, end, report.rows).missing
        lost = explain_gaps(self.kafka, whole, end, missing, self.acceptance) if missing else []
        late = self._commit_late(report)
        letters = self._commit(self.dead_letters, report, start, end, lost)
        failpoints.reach("stream.after-dead-letters")
        events = self._commit(self.bronze, report, start, end, lost)
        self.position = end
        return BatchReport(
            self.entity,
            batch,
            start,
            end,
            report.rows.total(),
            report.usual,
            events,
            letters + late,
            report.reasons,
            time.monotonic() - began,
            sum(missing.values()),
        )

    def _distribute(self, messages: DataFrame, start: Ends, end: Ends) -> Report:
        """Let the workers judge the messages and write the files."""
        ends = {owned.table.name: dict(owned.ends) for owned in (self.bronze, self.dead_letters)}
        # Only behind a crash between the two commits do the tables end at different offsets.
        apart = {p: min(behind, end.get(p, 0)) for p, behind in self.dead_letters.ends.items()}
        dead = (
            offsets_in(self.dead_letters.table, self.topic_id, self.bronze.ends, apart)
            if moves_on(self.bronze.ends, apart)
            else {}
        )
        mark, code = self._mark(), None if self._is_local() else fingerprint()
        task = WriteFiles(
            self.entity, self.topic_id, self.bronze.table, self.dead_letters.table, ends, dead, mark, code
        )
        count = sum(behind - start.get(p, 0) for p, behind in end.items())
        tasks = min(self.spark.sparkContext.defaultParallelism, 1 + count // ROWS_PER_FILE)
        rows = messages.selectExpr(*DELIVERY).coalesce(tasks).mapInArrow(task, REPORT).collect()
        whole = Report()
        for row in rows:
            whole.add(Report.from_json(row["report"]))
        if whole.foreign:
            raise LakeStateError(
                "An executor runs other code than this stream.",
                "nothing of the batch was written.",
                SAME_CHECKOUT,
            )
        if whole.blind:
            raise LakeStateError(
                f"An executor does not see the lake's folder, {self.bronze.table.lake.place.url}.",
                "nothing of the batch was written.",
                "set LAKE_URL in .env to a place that every machine reaches, such as s3://bucket/prefix",
            )
        if whole.full:
            raise OSError(ENOSPC, os.strerror(ENOSPC), self.bronze.table.lake.uri)
        return whole

    def _mark(self) -> str | None:
        """Return what workers elsewhere must find in the lake's folder; None where there are none."""
        folder = self.bronze.table.lake.place.folder("")
        if folder is None or self._is_local():
            return None
        mark = secrets.token_hex(16)
        write_file(folder / MARK, mark, mode=0o600)
        return mark

    def _is_local(self) -> bool:
        return str(self.spark.sparkContext.master).startswith("local")

    def _refuse_gap(self, start: Ends, end: Ends) -> None:
        for owned in (self.bronze, self.dead_letters):
            for partition in end:
                begins, had = start.get(partition, 0), owned.ends.get(partition, 0)
                if begins > had:
                    raise LakeStateError(
                        f"The batch begins at offset {begins} of partition {partition}; "
                        f"{owned.table.name} has only got to {had}.",
                        "nothing of the batch was written.",
                        "./scripts/tieout stream (it begins again at what the tables record)",
                    )

    def _commit_late(self, report: Report) -> int:
        """Commit what is a dead letter now and was none for the judge that wrote the dead letters up to their end."""
        if not report.late:
            return 0
        ends = self.dead_letters.ends
        return self.dead_letters.commit(report.late, self.bronze.ends, ends, judged_again=True)

    def _commit(self, owned: OwnedTable, report: Report, start: Ends, end: Ends, lost: list[Loss]) -> int:
        """Commit one table's part; return how many rows it got. Nothing is committed where all is there already."""
        had = owned.ends
        if not moves_on(had, end):
            return 0
        begin = {p: max(start.get(p, 0), had.get(p, 0)) for p in end}
        mine = (Loss(loss.partition, max(loss.first, begin[loss.partition]), loss.end) for loss in lost)
        part = _Part(
            begin,
            further(begin, end),
            report.new.get(owned.table.name, Counter()),
            tuple(loss for loss in mine if loss.first < loss.end),
        )
        # An empty part still commits: the ends move on in both tables.
        return owned.commit(report.files.get(owned.table.name, []), had, end, **self._without_rows(part))

    def _without_rows(self, part: _Part) -> dict[str, Any]:
        """Return what a commit says of its offsets that are rows of neither table."""
        reason = self.acceptance.reason if self.acceptance else ""
        lost = [{"partition": p.partition, "from": p.first, "to": p.end, "reason": reason} for p in part.lost]
        gaps = {str(partition): count for partition, count in sorted(part.gaps.items())}
        return {**({"gaps": gaps} if gaps else {}), **({"lost": lost} if lost else {})}
