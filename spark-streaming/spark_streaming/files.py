"""The Parquet files that one task writes: for each table one for each day, under names of the task's own.

A task may be repeated, and an attempt of it may be killed: only files that the finished attempt names are committed.
A file that no commit names is removed by maintenance a week later.
"""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spark_streaming.columns import PARTITION_COLUMNS

# Nearly every row has its own value in these: a dictionary would be built and given up again.
PLAIN = frozenset({"raw_value", "transaction_id", "seq", "offset"})
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
    """One task's files of one table."""

    def __init__(self, folder: Path, schema: pa.Schema, statistics: tuple[str, ...]) -> None:
        self._folder = folder
        self._schema = pa.schema([column for column in schema if column.name not in PARTITION_COLUMNS])
        self._statistics = statistics
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
        """Write what is left, bring all files to the disk, and yield them."""
        self._write()
        for file in self._open.values():
            yield file.close()

    def discard(self) -> None:
        """Remove what was written: no commit will name it."""
        for file in self._open.values():
            file.discard()

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
                self._open[key] = _DayFile(self._folder, day, self._schema, self._statistics)
            self._open[key].write(mine.select(self._schema.names))


class _DayFile:
    def __init__(self, folder: Path, day: dict[str, int], schema: pa.Schema, statistics: tuple[str, ...]) -> None:
        self._table, self._day = folder, {name: str(value) for name, value in day.items()}
        inner = folder.joinpath(*(f"{name}={value}" for name, value in self._day.items()))
        inner.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = inner / f"part-{uuid.uuid4()}.zstd.parquet"
        self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._rows = 0
        self._seen: dict[str, list[dict[str, Any]]] = {name: [] for name in statistics}
        self._writer = pq.ParquetWriter(
            self._file,
            schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=[*(name for name in schema.names if name not in PLAIN), *NESTED],
            write_statistics=list(statistics),
        )

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows, row_group_size=rows.num_rows)
        self._rows += rows.num_rows
        for name, seen in self._seen.items():
            seen.append(pc.min_max(rows[name]).as_py() | {"nulls": rows[name].null_count})

    def close(self) -> WrittenFile:
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        state = os.fstat(self._file.fileno())
        self._file.close()
        for folder in self._path.relative_to(self._table).parents:
            handle = os.open(self._table / folder, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
        return WrittenFile(
            path=str(self._path.relative_to(self._table)),
            size=state.st_size,
            partition=self._day,
            modified=int(state.st_mtime * 1000),
            rows=self._rows,
            statistics=json.dumps(self._delta_statistics()),
        )

    def discard(self) -> None:
        self._path.unlink(missing_ok=True)
        # What the writer still holds is lost on purpose; it may not fit on the disk.
        with suppress(OSError):
            self._writer.close()
        with suppress(OSError):
            self._file.close()

    def _delta_statistics(self) -> dict[str, Any]:
        found: dict[str, Any] = {"numRecords": self._rows, "minValues": {}, "maxValues": {}, "nullCount": {}}
        for name, seen in self._seen.items():
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
