"""Compaction and vacuum of real Delta tables: no row changes, nothing beyond the watermark is touched."""

import os
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from small_lake import ARRIVED, SmallLake, topic_of

from core.lake import Lake
from core.places import LocalPlace
from spark_streaming import tables
from spark_streaming.maintenance import expire_days, maintain_table
from warehouse.delta_log import read_commit

pytestmark = pytest.mark.services
TOPIC = topic_of({0: 1000})
DAY = 24 * 3600


@pytest.fixture(scope="module")
def seven_batches(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five batches of a first day, then two of the next."""
    folder = tmp_path_factory.mktemp("lake")
    lake = SmallLake(spark, folder)
    writer = lake.open(TOPIC)
    for batch in range(7):
        lake.arrived = ARRIVED if batch < 5 else ARRIVED + timedelta(days=1)
        lake.write(writer, {0: 4 + 4 * batch})
    return folder


@pytest.fixture
def lake(spark: Any, seven_batches: Path, tmp_path: Path) -> SmallLake:
    """A copy: a Delta table names its files by their place in it."""
    shutil.copytree(seven_batches, tmp_path, dirs_exist_ok=True)
    return SmallLake(spark, tmp_path)


def files(table: tables.LakeTable) -> set[Path]:
    return {Path(uri.removeprefix("file://")) for uri in DeltaTable(table.uri).file_uris()}


def of_day(day: int, paths: set[Path]) -> set[Path]:
    return {path for path in paths if path.parent.name == f"day={day}"}


def rows(table: tables.LakeTable) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = DeltaTable(table.uri).to_pyarrow_table().to_pylist()
    return sorted(found, key=lambda row: (row["partition"], row["offset"]))


def test_compaction_changes_no_row_and_every_commit_of_it_says_how_far_the_table_has_got(lake: SmallLake) -> None:
    before, were, ends = rows(lake.bronze), files(lake.bronze), tables.recorded(lake.spark, lake.bronze)
    version = DeltaTable(lake.bronze.uri).version()
    done = maintain_table(lake.spark, lake.bronze, version)
    assert done == {"watermark": version, "days_compacted": 1, "files_before": 7, "files_after": 3}
    assert len(of_day(21, files(lake.bronze))) == 1
    assert of_day(22, files(lake.bronze)) == of_day(22, were), "two files are too few to be worth it"
    assert rows(lake.bronze) == before
    assert len(before) > 0
    assert DeltaTable(lake.bronze.uri).version() > version
    for commit in DeltaTable(lake.bronze.uri).history():
        if commit["version"] > version:
            found = tables.read_metadata(commit.get("userMetadata"))
            assert found == ends, commit["operation"]
    assert tables.recorded(lake.spark, lake.bronze) == ends
    assert lake.open(TOPIC).position == {0: 28}


def test_a_day_with_one_file_beyond_the_watermark_is_left_alone(lake: SmallLake) -> None:
    passed = DeltaTable(lake.bronze.uri).version()
    lake.arrived = ARRIVED
    lake.write(lake.open(TOPIC), {0: 32})
    before = files(lake.bronze)
    assert maintain_table(lake.spark, lake.bronze, passed)["days_compacted"] == 0
    assert files(lake.bronze) == before


def test_what_the_loader_has_never_read_is_left_alone(lake: SmallLake) -> None:
    version = DeltaTable(lake.bronze.uri).version()
    assert maintain_table(lake.spark, lake.bronze, None)["watermark"] is None
    assert DeltaTable(lake.bronze.uri).version() == version


def test_vacuum_keeps_a_week_for_readers_and_removes_files_of_unfinished_commits_that_are_older(
    lake: SmallLake,
) -> None:
    were = files(lake.bronze)
    folder = next(iter(of_day(21, were))).parent
    young, old = folder / "part-unfinished-6-days.parquet", folder / "part-unfinished-8-days.parquet"
    for path, days in ((young, 6), (old, 8), *((path, 8) for path in were)):
        path.touch()
        os.utime(path, (time.time() - days * DAY,) * 2)
    maintain_table(lake.spark, lake.bronze, DeltaTable(lake.bronze.uri).version())
    assert young.exists()
    assert not old.exists()
    replaced = were - files(lake.bronze)
    assert len(replaced) == 5
    assert all(path.exists() for path in replaced), "a reader may have them open"


def test_dead_letters_go_by_whole_days_that_the_loader_has_passed_and_the_commit_says_so(lake: SmallLake) -> None:
    second = ARRIVED.date() + timedelta(days=1)
    ends, held = tables.recorded(lake.spark, lake.dead_letters), rows(lake.dead_letters)
    version = DeltaTable(lake.dead_letters.uri).version()
    assert expire_days(lake.spark, lake.dead_letters, None, second) == 0
    assert expire_days(lake.spark, lake.dead_letters, 2, second) == 0, "the loader has not read all of the day"
    assert rows(lake.dead_letters) == held
    assert expire_days(lake.spark, lake.dead_letters, version, second) == 1
    left = rows(lake.dead_letters)
    assert left
    assert left == [row for row in held if row["arrived_at"].date() == second]
    table = Lake(LocalPlace(Path(lake.dead_letters.uri).parent)).dead_letters
    commit = read_commit(table, version + 1, str(DeltaTable(lake.dead_letters.uri).metadata().id))
    assert (commit.files, commit.rows) == ((), 0), "the loader passes over it"
    assert tables.recorded(lake.spark, lake.dead_letters) == ends
    assert expire_days(lake.spark, lake.dead_letters, version + 1, second) == 0
