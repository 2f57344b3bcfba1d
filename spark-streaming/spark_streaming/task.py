"""What a task of a batch does in a Python worker: judge its messages, and write both tables' files."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from errno import EDQUOT, ENOSPC
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.headers import header_columns
from contracts.judge import Judge
from contracts.model import Entity
from core import failpoints
from spark_streaming.code import fingerprint
from spark_streaming.ends import Ends
from spark_streaming.files import DayFiles, WrittenFile
from spark_streaming.tables import StreamTable

# What Spark's Kafka source gives and a task reads.
DELIVERY = ("value", "key", "headers", "topic", "`partition`", "`offset`", "`timestamp`")
REPORT = "report string"
# By this file of the lake's folder workers of other machines show that they see it.
MARK = ".seen-by-workers"


@dataclass
class Report:
    """What tasks did; reports of several tasks add up.

    Attributes:
        rows: messages by partition.
        new: for each table, messages by partition that lie at or beyond the table's ends.
        usual: messages that a pattern proved to be sound, quickly.
        reasons: how often each code was given.
        files: for each table what was written for its next commit.
        late: files of dead letters below their table's ends, which an earlier judge took for sound.
        full: there was no room for the files; the rest says nothing then.
        foreign: the machine of the task runs other code than the driver; the rest says nothing then.
        blind: the machine of the task does not see the lake's folder; the rest says nothing then.
    """

    rows: Counter[int] = field(default_factory=Counter)
    new: dict[str, Counter[int]] = field(default_factory=dict)
    usual: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    files: dict[str, list[WrittenFile]] = field(default_factory=dict)
    late: list[WrittenFile] = field(default_factory=list)
    full: bool = False
    foreign: bool = False
    blind: bool = False

    def add(self, other: "Report") -> None:
        """Take in another task's report."""
        self.rows += other.rows
        self.usual += other.usual
        self.reasons += other.reasons
        self.late += other.late
        self.full = self.full or other.full
        self.foreign = self.foreign or other.foreign
        self.blind = self.blind or other.blind
        for name, rows in other.new.items():
            self.new[name] = self.new.get(name, Counter()) + rows
        for name, files in other.files.items():
            self.files[name] = self.files.get(name, []) + files

    def to_json(self) -> str:
        """Return it as text, which goes from the worker to the driver."""
        return json.dumps(vars(self), default=WrittenFile.as_dict)

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """Return the report that a worker sent."""
        read = json.loads(text)
        return cls(
            _by_partition(read["rows"]),
            {name: _by_partition(rows) for name, rows in read["new"].items()},
            read["usual"],
            Counter(read["reasons"]),
            {name: [WrittenFile(**file) for file in files] for name, files in read["files"].items()},
            [WrittenFile(**file) for file in read["late"]],
            full=read["full"],
            foreign=read["foreign"],
            blind=read["blind"],
        )


def _by_partition(rows: Mapping[str, int]) -> Counter[int]:
    return Counter({int(partition): count for partition, count in rows.items()})


@dataclass(frozen=True)
class WriteFiles:
    """The task, as it is sent to the workers.

    Attributes:
        entity: what messages are judged by.
        topic_id: Kafka's id of their topic.
        bronze: the table of the well-formed.
        dead_letters: the table of the malformed.
        ends: for each table how far it has got: it gets nothing below, but for what `dead` says.
        dead: the dead letters between the end of bronze and their own, which a crash left apart, by partition. The
            judge may be another since: they are not judged again, and every other message there is.
        mark: what the file MARK of the lake must hold; None where the workers are on the driver's own machine.
        code: the driver's fingerprint; None as before.
    """

    entity: Entity
    topic_id: str
    bronze: StreamTable
    dead_letters: StreamTable
    ends: Mapping[str, Ends]
    dead: Mapping[int, list[int]]
    mark: str | None = None
    code: str | None = None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write the messages of one task; yield one row, its report as JSON."""
        os.umask(0o077)
        try:
            # Left well, every file is on the disk or in the store; left by an error, none is there.
            with ExitStack() as task:
                report = self._obstacle() or self._write(batches, task)
        except OSError as error:
            if error.errno not in {ENOSPC, EDQUOT}:
                raise
            # Not raised here: Spark would print it with the whole stack, and try again.
            report = Report(full=True)
        yield pa.RecordBatch.from_pydict({"report": [report.to_json()]})

    def _obstacle(self) -> Report | None:
        if self.code not in {None, fingerprint()}:
            return Report(foreign=True)
        return None if self._sees_the_lake() else Report(blind=True)

    def _sees_the_lake(self) -> bool:
        if self.mark is None:
            return True
        try:
            return self.bronze.lake.place.read(MARK).decode() == self.mark
        except FileNotFoundError:
            return False

    def _write(self, batches: Iterator[pa.RecordBatch], task: ExitStack) -> Report:
        judge, report = Judge(self.entity), Report()
        bronze, dead_letters, late = (
            DayFiles(table.lake, table.schema, table.statistics, self.entity, task)
            for table in (self.bronze, self.dead_letters, self.dead_letters)
        )
        for batch in batches:
            report.rows += _count(batch)
            for table in (self.bronze, self.dead_letters):
                beyond = batch.filter(_at_or_beyond(batch, self.ends[table.name]))
                report.new[table.name] = report.new.get(table.name, Counter()) + _count(beyond)
            undecided = batch.filter(pc.invert(_listed(batch, self.dead))) if self.dead else batch
            rows, usual = self._judged(judge, undecided)
            report.usual += usual
            broken = pc.greater(pc.list_value_length(rows["reasons"]), 0)
            if broken.true_count:
                malformed = rows.filter(broken)
                report.reasons.update(malformed["reasons"].flatten().to_pylist())
                beyond = _at_or_beyond(malformed, self.ends[self.dead_letters.name])
                dead_letters.put(malformed.filter(beyond))
                if self.dead:
                    late.put(malformed.filter(pc.invert(beyond)))
                rows = rows.filter(pc.invert(broken))
            bronze.put(rows.filter(_at_or_beyond(rows, self.ends[self.bronze.name])))
        if report.rows:
            failpoints.reach("stream.in-task")
        report.files = {self.bronze.name: list(bronze.close()), self.dead_letters.name: list(dead_letters.close())}
        report.late = list(late.close())
        return report

    def _judged(self, judge: Judge, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, int]:
        """Return the messages with every column of both tables, and how many were usual."""
        judged = judge.judge(batch["value"])
        at = batch["timestamp"]
        columns: dict[str, Any] = {
            **dict(zip(judged.columns.schema.names, judged.columns.columns, strict=True)),
            "raw_value": batch["value"],
            "message_key": batch["key"],
            "headers": batch["headers"],
            **header_columns(batch["headers"]),
            "topic_id": pa.array([self.topic_id]).take(pa.array(np.zeros(batch.num_rows, np.int32))),
            "topic": batch["topic"],
            "partition": batch["partition"],
            "offset": batch["offset"],
            "arrived_at": at,
            "year": pc.year(at).cast(pa.int32()),
            "month": pc.month(at).cast(pa.int32()),
            "day": pc.day(at).cast(pa.int32()),
        }
        return pa.RecordBatch.from_pydict(columns), judged.usual


def _count(batch: pa.RecordBatch) -> Counter[int]:
    return Counter({each["values"]: each["counts"] for each in pc.value_counts(batch["partition"]).to_pylist()})


def _at_or_beyond(batch: pa.RecordBatch, ends: Ends) -> pa.BooleanArray:
    """Say which messages a table with these ends does not have yet."""
    partitions = batch["partition"].dictionary_encode()
    first = pa.array([ends.get(partition, 0) for partition in partitions.dictionary.to_pylist()], pa.int64())
    return pc.greater_equal(batch["offset"], first.take(partitions.indices))


def _listed(batch: pa.RecordBatch, offsets: Mapping[int, list[int]]) -> pa.BooleanArray:
    found = pa.array(np.zeros(batch.num_rows, bool))
    for partition, mine in offsets.items():
        here = pc.and_(pc.equal(batch["partition"], partition), pc.is_in(batch["offset"], pa.array(mine, pa.int64())))
        found = pc.or_(found, here)
    return found
