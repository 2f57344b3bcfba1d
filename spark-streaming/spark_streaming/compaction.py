"""Small Parquet files of a day become one: the same rows in the same order, on the disk before a commit names it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import RemoveAction

from core.lake import LakeTable, LiveFile
from spark_streaming.columns import DAY, PARTITION_COLUMNS
from spark_streaming.errors import LakeStateError
from spark_streaming.files import DayFiles, WrittenFile
from spark_streaming.tables import StreamTable

MIB = 1024 * 1024
SMALL_BYTES = 64 * MIB
LARGE_BYTES = 128 * MIB
# So much is read at once; DayFiles holds a row group more.
READ_BYTES = 8 * MIB

Day = tuple[int, ...]


def day_of(file: LiveFile) -> Day:
    """Return year, month and day of a file's rows."""
    return tuple(int(file.statistics[f"partition.{column}"]) for column in PARTITION_COLUMNS)


def removal(file: LiveFile, at: int, *, data_change: bool) -> RemoveAction:
    """Return the action that takes a file out of its table.

    Args:
        at: now, in milliseconds since 1970.
        data_change: its rows leave the table too.
    """
    partition: dict[str, str | None] = dict(zip(PARTITION_COLUMNS, map(str, day_of(file)), strict=True))
    return RemoveAction(file.path, data_change, at, file.size, partition)


def pack(files: Iterable[LiveFile]) -> list[list[LiveFile]]:
    """Return groups of small files, oldest first: each becomes a file of at most some 128 MiB. One alone stays."""
    groups: list[list[LiveFile]] = [[]]
    for file in sorted(files, key=lambda each: (each.statistics["modification_time"], each.path)):
        if file.size >= SMALL_BYTES:
            continue
        if sum(each.size for each in groups[-1]) + file.size > LARGE_BYTES:
            groups.append([])
        groups[-1].append(file)
    return [group for group in groups if len(group) > 1]


def merge(table: StreamTable, files: Sequence[LiveFile], schema: pa.Schema) -> list[WrittenFile]:
    """Write the rows of a day's files to a new file and return that; none where they have no row.

    Args:
        files: of one day, in the order of their rows.
        schema: the table's own.

    Raises:
        LakeStateError: the files do not hold as many rows as the log says.
        OSError: the new file cannot be written; nothing is left of it.
    """
    with ExitStack() as task:
        merged = DayFiles(table.lake, schema, table.statistics, table.entity, task)
        for file in files:
            for rows in _read(table.lake, file, schema):
                merged.put(rows)
        written = list(merged.close())
        _check(table.lake, files, sum(file.rows for file in written))
    return written


def _check(table: LakeTable, files: Sequence[LiveFile], rows: int) -> None:
    known = [file.statistics["num_records"] for file in files]
    if None not in known and sum(known) != rows:
        folder = PurePosixPath(files[0].path).parent
        raise LakeStateError(
            f"{len(files)} files of {folder} hold {rows} rows, and the log says {sum(known)}.",
            f"{table} holds what it held before.",
            "./scripts/tieout proof --full",
        )


def _read(table: LakeTable, of: LiveFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows in the table's columns; one that the file does not have is NULL."""
    of_the_day = {name: pa.scalar(value, kind) for (name, kind), value in zip(DAY, day_of(of), strict=True)}
    with (
        TemporaryDirectory(prefix="tieout-merge-") as copies,
        pq.ParquetFile(
            table.place.fetch(f"{table.name}/{of.path}", Path(copies)),
            buffer_size=MIB,
            pre_buffer=False,
            coerce_int96_timestamp_unit="us",
        ) as file,
    ):
        for index in range(file.num_row_groups):
            group = file.metadata.row_group(index)
            rows = max(1, group.num_rows * READ_BYTES // max(1, group.total_byte_size))
            for batch in file.iter_batches(rows, row_groups=[index], use_threads=False):
                there = dict(zip(batch.schema.names, batch.columns, strict=True))
                columns = [
                    pa.repeat(of_the_day[column.name], len(batch))
                    if column.name in of_the_day
                    else there[column.name].cast(column.type)
                    if column.name in there
                    else pa.nulls(len(batch), column.type)
                    for column in schema
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)
