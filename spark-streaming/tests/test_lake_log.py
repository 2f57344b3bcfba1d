"""Checkpoints and cleaning of the log over more than 100 commits, as delta-rs does both after a commit."""

import json
import os
import shutil
import time
from pathlib import Path

import delta_tables as lake
import pyarrow.parquet as pq
import pytest

from spark_streaming import tables
from spark_streaming.ends import Recorded, read_metadata
from spark_streaming.maintenance import maintain_table
from spark_streaming.tables import StreamTable
from warehouse.delta_log import commits_after, recorded_ends, table_id

OLD_SECONDS = 91 * 24 * 3600
BATCHES = 106


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """106 batches, and a compaction after each 20th: more than 100 commits."""
    folder = tmp_path_factory.mktemp("long")
    table = lake.bronze(folder)
    for batch in range(1, BATCHES + 1):
        lake.append(table, 1 + batch // 40, count=2)
        if batch % 20 == 0:
            maintain_table(table, lake.version(table))
    return folder


@pytest.fixture
def table(long_log: Path, tmp_path: Path) -> StreamTable:
    shutil.copytree(long_log, tmp_path, dirs_exist_ok=True)
    return lake.bronze(tmp_path)


def checkpoints(table: StreamTable) -> list[int]:
    return sorted(int(path.name[:20]) for path in lake.log_of(table).glob("*.checkpoint.parquet"))


def commits(table: StreamTable) -> list[int]:
    return sorted(int(path.stem) for path in lake.log_of(table).glob("*.json"))


def age(table: StreamTable, *, below: int) -> None:
    for path in lake.log_of(table).glob("0*"):
        if int(path.name[:20]) < below:
            os.utime(path, (time.time() - OLD_SECONDS,) * 2)


def check(table: StreamTable, batches: int = BATCHES) -> None:
    """The table is whole for whoever reads it now."""
    found = table.lake.delta()
    assert lake.offsets(table) == list(range(2 * batches))
    assert lake.last_of_the_stream(table) == 2 * batches
    assert tables.recorded(table) == Recorded(lake.TOPIC_ID, {0: 2 * batches})
    assert found.metadata().configuration["delta.dataSkippingStatsColumns"] == ",".join(table.statistics)


def test_each_50th_commit_makes_a_checkpoint_and_the_hint_names_the_last_one(table: StreamTable) -> None:
    assert commits(table) == list(range(BATCHES + 5 + 1))
    assert checkpoints(table) == [49, 99]
    hint = json.loads((lake.log_of(table) / "_last_checkpoint").read_text(encoding="utf-8"))
    assert hint["version"] == 99
    state = pq.read_table(lake.log_of(table) / f"{99:020}.checkpoint.parquet")
    assert hint["size"] == len(state)
    transactions = {each["appId"]: each["version"] for each in state.column("txn").to_pylist() if each}
    known = transactions[lake.APP_ID.format("bronze")]
    [text] = [each["commitInfo"]["userMetadata"] for each in table.lake.actions(99) if "commitInfo" in each]
    found = read_metadata(text)
    assert found is not None
    assert {0: known} == found.ends == {0: 2 * (99 - 4)}, "4 of the commits until then are compactions"
    check(table)


def test_a_reader_that_begins_at_the_checkpoint_sees_the_same_rows(table: StreamTable) -> None:
    whole = lake.rows(table)
    for version in range(99):
        (lake.log_of(table) / f"{version:020}.json").unlink()
    (lake.log_of(table) / f"{49:020}.checkpoint.parquet").unlink()
    check(table)
    assert lake.rows(table) == whole
    state = pq.read_table(lake.log_of(table) / f"{99:020}.checkpoint.parquet")
    assert any(state.column("remove").to_pylist()), "vacuum must still know since when a file is replaced"
    assert table.lake.delta().vacuum(168, dry_run=True, full=True) == []


@pytest.mark.parametrize("lost", [("_last_checkpoint",), (f"{99:020}.checkpoint.parquet", "_last_checkpoint")])
def test_a_kill_between_a_commit_its_checkpoint_and_its_hint_leaves_a_whole_table(
    table: StreamTable, lost: tuple[str, ...]
) -> None:
    for name in lost:
        (lake.log_of(table) / name).unlink()
    check(table)
    while not checkpoints(table)[-1:] > [99]:
        lake.append(table, 3, count=2)
    assert checkpoints(table)[-1] == 149
    check(table, lake.version(table) - 5)


def test_the_log_is_cleaned_of_what_is_older_than_90_days_up_to_a_checkpoint_and_no_further(table: StreamTable) -> None:
    age(table, below=80)
    while lake.version(table) < 149:
        lake.append(table, 3, count=2)
    assert commits(table) == list(range(49, 150)), "49 is the newest checkpoint before what must be kept"
    check(table, 149 - 5)
    identity = table_id(table.lake)
    assert identity == str(table.lake.delta().metadata().id)
    assert len(list(commits_after(table.lake, 60, identity))) == 149 - 60
    assert recorded_ends(table.lake) == {0: 2 * (149 - 5)}


def test_a_log_in_which_everything_is_old_keeps_the_newest_ends(table: StreamTable) -> None:
    while lake.version(table) < 148:
        lake.append(table, 3, count=2)
    age(table, below=149)
    maintain_table(table, 148)
    assert commits(table) == [149]
    check(table, 148 - 5)


def test_checkpoint_and_hint_are_on_the_disk_like_the_commit_before_them(
    table: StreamTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    while lake.version(table) < 148:
        lake.append(table, 3, count=2)
    sync, synced = os.fsync, []

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    lake.append(table, 3, count=2)
    assert synced[-4:] == [f"{149:020}.json", f"{149:020}.checkpoint.parquet", "_last_checkpoint", "_delta_log"]


def test_nothing_is_cleaned_where_no_checkpoint_stands_for_it(tmp_path: Path) -> None:
    table = lake.bronze(tmp_path)
    for _ in range(5):
        lake.append(table, 1, count=2)
    age(table, below=100)
    table.lake.delta().cleanup_metadata()
    assert commits(table) == list(range(6))
    check(table, 5)
