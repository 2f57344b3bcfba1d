"""Small files become one: rows, bytes, order and statistics, and what a damaged file is answered with."""

import gc
import json
from datetime import datetime, timedelta
from pathlib import Path

import delta_tables as lake
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from core.lake import LiveFile
from spark_streaming import compaction, files
from spark_streaming.compaction import merge, pack
from spark_streaming.errors import LakeStateError
from spark_streaming.files import WrittenFile
from spark_streaming.tables import StreamTable

MIB = 1024 * 1024


@pytest.fixture
def table(tmp_path: Path) -> StreamTable:
    table = lake.bronze(tmp_path)
    for count in (4, 9, 2):
        lake.append(table, 21, count)
    return table


def merged(table: StreamTable) -> tuple[pa.Table, WrittenFile]:
    """Return the rows of all files of the table, from the one that they are merged into, and what is said of it."""
    [group] = pack(table.lake.files())
    [file] = merge(table, group, table.schema)
    return pq.ParquetFile(lake.folder_of(table) / file.path).read(), file


def in_order(table: StreamTable) -> list[LiveFile]:
    """Return the table's files in the order of their rows."""
    return sorted(table.lake.files(), key=lambda file: file.statistics["min.offset"])


def file(number: int, size: int) -> LiveFile:
    return LiveFile(f"{number}.parquet", size, {"modification_time": number})


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([], []),
        ([10], []),
        ([10, 64], []),
        ([10, 64, 10], [[10, 10]]),
        ([63, 63, 63, 63, 5], [[63, 63], [63, 63]]),
        ([63, 63, 2, 1], [[63, 63, 2]]),
        ([1] * 130, [[1] * 128, [1] * 2]),
    ],
)
def test_small_files_are_packed_up_to_the_large_size_and_large_ones_stay(
    sizes: list[int], groups: list[list[int]]
) -> None:
    assert [
        [each.size // MIB for each in group]
        for group in pack(file(number, size * MIB) for number, size in enumerate(sizes))
    ] == groups


@pytest.mark.parametrize("small_pieces", [False, True])
def test_the_new_file_has_the_same_rows_in_the_same_order_to_the_byte(
    table: StreamTable, monkeypatch: pytest.MonkeyPatch, small_pieces: bool
) -> None:
    if small_pieces:
        monkeypatch.setattr(compaction, "READ_BYTES", 500)
        monkeypatch.setattr(files, "ROW_GROUP_BYTES", 900)
    old = [pq.ParquetFile(lake.folder_of(table) / file.path).read() for file in in_order(table)]
    found, file = merged(table)
    assert [len(rows) for rows in old] == [4, 9, 2]
    assert found.equals(pa.concat_tables(old))
    footer = pq.read_metadata(lake.folder_of(table) / file.path)
    assert (footer.num_row_groups > 1) is small_pieces
    assert footer.row_group(0).column(0).compression == "ZSTD"
    assert found.schema.names == [name for name in table.schema.names if name not in file.partition]


def test_a_row_larger_than_what_is_read_at_once_is_read_all_the_same(
    table: StreamTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "READ_BYTES", 1)
    assert merged(table)[0].num_rows == 15


def test_a_file_without_a_column_of_today_gives_null(table: StreamTable) -> None:
    first = in_order(table)[0]
    path = lake.folder_of(table) / first.path
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["city", "seq"]), path)
    found, _ = merged(table)
    assert found.column("seq").to_pylist() == [None] * 4 + list(range(4, 15))
    assert found.column("city").to_pylist() == [None] * 15


def test_the_log_gets_statistics_of_the_columns_that_readers_prune_by_and_no_row_is_pruned_away(
    table: StreamTable,
) -> None:
    found, file = merged(table)
    statistics = json.loads(file.statistics)
    newest = pc.max(found.column("arrived_at")).as_py()
    assert newest.microsecond % 1000 == 15
    assert set(statistics["minValues"]) == set(statistics["maxValues"]) == set(table.statistics)
    assert statistics["nullCount"] == {"occurred_at": 3, "arrived_at": 0, "partition": 0, "offset": 0}
    assert (file.rows, statistics["numRecords"]) == (15, 15)
    assert (statistics["minValues"]["offset"], statistics["maxValues"]["offset"]) == (0, 14)
    low, high = (datetime.fromisoformat(statistics[bound]["arrived_at"]) for bound in ("minValues", "maxValues"))
    assert low <= pc.min(found.column("arrived_at")).as_py()
    assert newest <= high < newest + timedelta(milliseconds=1)


def test_fewer_rows_than_the_log_says_are_refused_and_no_file_is_left(table: StreamTable) -> None:
    first = in_order(table)[0]
    path = lake.folder_of(table) / first.path
    pq.write_table(pq.ParquetFile(path).read().slice(1), path)
    before = set(path.parent.iterdir())
    with pytest.raises(LakeStateError, match=r"3 files of .*day=21 hold 14 rows, and the log says 15"):
        merged(table)
    assert set(path.parent.iterdir()) == before


def test_a_file_that_is_no_parquet_any_more_leaves_no_half_of_a_new_one(
    table: StreamTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ROW_GROUP_BYTES", 1)  # the new file is begun when the damaged one is met
    last = lake.folder_of(table) / in_order(table)[-1].path
    last.write_bytes(b"PAR1")
    before = set(last.parent.iterdir())
    with pytest.raises(pa.ArrowInvalid):
        merged(table)
    gc.collect()  # the writer of the file that is gone says nothing
    assert set(last.parent.iterdir()) == before
