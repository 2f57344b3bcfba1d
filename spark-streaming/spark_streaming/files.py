"""The Parquet files that one task writes: for each table one for each day, under names of the task's own.

A task may be repeated, and an attempt of it may be killed: only files that the finished attempt names are committed.
A file that no commit names is removed by maintenance a week later.
"""

import io
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from typing_extensions import override

from contracts.model import Entity
from core.lake import LakeTable
from spark_streaming.columns import PARTITION_COLUMNS

# Nearly every row has its own value in these, and in its key: a dictionary would be built and given up again.
PLAIN = frozenset({"raw_value", "seq", "offset"})
NESTED = ("headers.list.element.key", "reasons.list.element")
ROW_GROUP_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class WrittenFile:
    """A file as Delta's log describes it.

    Attributes:
        path: below the table's folder.
        size: in bytes.
        partition: value of each partition column, as text.
        modified: when, in milliseconds since 1970.
        rows: how many it has.
        statistics: Delta's, as JSON.
    """

    path: str
    size: int
    partition: dict[str, str]
    modified: int
    rows: int
    statistics: str

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class DayFiles:
    """One task's files of one table.

    Args:
        table: where they are.
        schema: of the rows that they get; the day's columns are in the file's path.
        statistics: the columns of which the log says minimum and maximum.
        entity: whose events the rows are.
        task: when it ends well, the disk or the store has the files; else they are not there.
    """

    def __init__(
        self, table: LakeTable, schema: pa.Schema, statistics: tuple[str, ...], entity: Entity, task: ExitStack
    ) -> None:
        self._table = table
        self._schema = pa.schema([column for column in schema if column.name not in PARTITION_COLUMNS])
        self._statistics = statistics
        self._plain = {*PLAIN, entity.stored(entity.key)}
        self._task = task
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0
        self._open: dict[tuple[int, ...], _DayFile] = {}

    def put(self, rows: pa.RecordBatch) -> None:
        """Take rows; they are written at the latest when they fill a row group."""
        if rows.num_rows:
            self._held.append(rows)
            self._held_bytes += rows.nbytes
            if self._held_bytes >= ROW_GROUP_BYTES:
                self._write()

    def close(self) -> Iterator[WrittenFile]:
        """Write what is left, and yield all files; the end of the task brings them to the disk."""
        self._write()
        for file in self._open.values():
            yield file.close()

    def _write(self) -> None:
        if not self._held:
            return
        rows, self._held, self._held_bytes = pa.Table.from_batches(self._held), [], 0
        days = rows.select(PARTITION_COLUMNS).group_by(list(PARTITION_COLUMNS)).aggregate([]).to_pylist()
        for day in days:
            mine = rows
            for column, value in day.items() if len(days) > 1 else ():
                mine = mine.filter(pc.equal(mine[column], value))
            key = tuple(day.values())
            if key not in self._open:
                self._open[key] = self._new(day)
            self._open[key].write(mine.select(self._schema.names))

    def _new(self, day: dict[str, int]) -> "_DayFile":
        of_day = {name: str(value) for name, value in day.items()}
        folder = "/".join(f"{name}={value}" for name, value in of_day.items())
        path = f"{folder}/part-{uuid.uuid4()}.zstd.parquet"
        file = _Counted(self._task.enter_context(self._table.place.open_output(f"{self._table.name}/{path}")))
        self._task.callback(file.leave)
        writer = pq.ParquetWriter(
            file,
            self._schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=[*(name for name in self._schema.names if name not in self._plain), *NESTED],
            write_statistics=list(self._statistics),
        )
        return _DayFile(path, of_day, file, writer, {name: [] for name in self._statistics})


class _Counted(io.RawIOBase):
    """What is written goes on to a file of any place; how much it was is known."""

    def __init__(self, file: BinaryIO) -> None:
        self._file: BinaryIO | None = file
        self.size = 0

    def leave(self) -> None:
        """Drop what is written from now on: pyarrow's writer ends its file also where the task has failed."""
        self._file = None

    @override
    def writable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self.size

    @override
    def write(self, data: Any) -> int:
        if self._file is not None:
            self._file.write(data)
        self.size += len(data)
        return len(data)


@dataclass
class _DayFile:
    """A file that is being written.

    Attributes:
        path: below the table's folder.
        day: value of each partition column, as text.
        seen: minimum and maximum of each row group, by column.
    """

    path: str
    day: dict[str, str]
    file: _Counted
    writer: pq.ParquetWriter
    seen: dict[str, list[dict[str, Any]]]
    rows: int = 0

    def write(self, rows: pa.Table) -> None:
        self.writer.write_table(rows, row_group_size=rows.num_rows)
        self.rows += rows.num_rows
        for name, seen in self.seen.items():
            seen.append(pc.min_max(rows[name]).as_py() | {"nulls": rows[name].null_count})

    def close(self) -> WrittenFile:
        self.writer.close()
        return WrittenFile(
            path=self.path,
            size=self.file.size,
            partition=self.day,
            modified=int(time.time() * 1000),
            rows=self.rows,
            statistics=json.dumps(self._delta_statistics()),
        )

    def _delta_statistics(self) -> dict[str, Any]:
        found: dict[str, Any] = {"numRecords": self.rows, "minValues": {}, "maxValues": {}, "nullCount": {}}
        for name, seen in self.seen.items():
            found["nullCount"][name] = sum(each["nulls"] for each in seen)
            lows = [each["min"] for each in seen if each["min"] is not None]
            if lows:
                found["minValues"][name] = _stated(min(lows))
                highest = _stated(max(each["max"] for each in seen if each["max"] is not None), upwards=True)
                found["maxValues"] |= {name: highest} if highest is not None else {}
        return found


def _stated(value: Any, *, upwards: bool = False) -> Any:
    """Return a minimum or maximum as Delta's log has it: of an instant only milliseconds, a maximum rounded up."""
    if not isinstance(value, datetime):
        return value
    at = value.astimezone(UTC)
    rest = at.microsecond % 1000
    try:
        at += timedelta(microseconds=1000 - rest if upwards and rest else -rest)
    except OverflowError:  # within the last millisecond that there is
        return None
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
