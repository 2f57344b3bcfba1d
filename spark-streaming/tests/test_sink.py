"""Batches into real Delta tables: replays, crashes between the two commits, and the guards."""

from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from small_lake import SmallLake, topic_of

from spark_streaming import tables
from spark_streaming.errors import LakeStateError
from spark_streaming.sink import LakeWriter
from spark_streaming.tables import LakeTable

pytestmark = pytest.mark.services
TOPIC = topic_of({0: 1000, 1: 1000})


@pytest.fixture
def lake(spark: Any, tmp_path: Path) -> SmallLake:
    return SmallLake(spark, tmp_path)


def test_a_replay_with_the_same_or_other_boundaries_writes_nothing_twice(lake: SmallLake) -> None:
    writer = lake.open(TOPIC)
    lake.write(writer, {0: 10, 1: 7})
    versions = [DeltaTable(table.uri).version() for table in (lake.bronze, lake.dead_letters)]
    for end in ({0: 10, 1: 7}, {0: 4, 1: 7}):
        writer.position = {0: 0, 1: 0}
        assert lake.write(writer, end).written.total() == 0
        assert [DeltaTable(table.uri).version() for table in (lake.bronze, lake.dead_letters)] == versions
    writer.position = {0: 3, 1: 0}
    assert lake.write(writer, {0: 13, 1: 9}).written == {"bronze": 4, "dead_letters": 1}
    lake.check({0: 13, 1: 9})


def test_after_a_crash_between_the_two_commits_the_replay_completes_bronze_and_repeats_no_dead_letter(
    lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = lake.open(TOPIC)
    lake.write(writer, {0: 5, 1: 5})
    append = tables.append

    def fail_at_bronze(table: LakeTable, *arguments: Any) -> None:
        if table.name == "bronze":
            raise OSError("killed here")
        append(table, *arguments)

    monkeypatch.setattr(tables, "append", fail_at_bronze)
    with pytest.raises(OSError, match="killed here"):
        lake.write(writer, {0: 20, 1: 12})
    monkeypatch.undo()
    assert (0, 15) in lake.offsets(lake.dead_letters)
    assert max(lake.offsets(lake.bronze)) == (1, 4)
    writer = lake.open(TOPIC)
    assert writer.position == {0: 5, 1: 5}, "without a checkpoint it begins at the lower of the two ends"
    lake.write(writer, {0: 11, 1: 8})
    lake.write(writer, {0: 25, 1: 12})
    lake.check({0: 25, 1: 12})


def test_a_table_without_a_row_of_the_batch_still_records_its_ends(lake: SmallLake) -> None:
    writer = lake.open(TOPIC)
    lake.write(writer, {0: 1, 1: 1})  # dead letters only
    lake.write(writer, {0: 4, 1: 4})  # bronze only
    for table, rows in ((lake.bronze, [0, 6]), (lake.dead_letters, [2, 0])):
        metadata = lake.metadata(table)
        assert [commit["rows"] for commit in metadata] == rows
        assert [commit["start"] for commit in metadata] == [{"0": 0, "1": 0}, {"0": 1, "1": 1}]
        assert [commit["end"] for commit in metadata] == [{"0": 1, "1": 1}, {"0": 4, "1": 4}]
    assert lake.open(TOPIC).position == {0: 4, 1: 4}


def test_without_metadata_the_highest_offset_in_the_table_counts(lake: SmallLake, monkeypatch: Any) -> None:
    lake.write(lake.open(TOPIC), {0: 8, 1: 5})
    monkeypatch.setattr(tables, "read_metadata", lambda _: None)
    assert tables.recorded(lake.spark, lake.bronze).ends == {0: 8, 1: 5}
    assert tables.recorded(lake.spark, lake.dead_letters).ends == {0: 6, 1: 1}
    writer = lake.open(TOPIC)
    assert writer.position == {0: 6, 1: 1}
    lake.write(writer, {0: 17, 1: 9})
    lake.check({0: 17, 1: 9})


def test_a_batch_that_begins_behind_a_tables_end_is_refused_and_writes_nothing(lake: SmallLake) -> None:
    writer = lake.open(TOPIC)
    lake.write(writer, {0: 5, 1: 5})
    writer.position = {0: 7, 1: 5}
    with pytest.raises(LakeStateError, match="begins at offset 7 of partition 0"):
        lake.write(writer, {0: 9, 1: 5})
    lake.check({0: 5, 1: 5})


def test_delta_itself_refuses_a_commit_of_offsets_that_it_has_when_the_ends_are_forgotten(lake: SmallLake) -> None:
    writer = lake.open(TOPIC)
    lake.write(writer, {0: 10, 1: 10})
    forgetful = LakeWriter(**{**vars(writer), "ends": {"bronze": {}, "dead_letters": {}}, "position": {}})
    with pytest.raises(LakeStateError, match="passed over as a repetition"):
        lake.write(forgetful, {0: 9, 1: 9})
    lake.check({0: 10, 1: 10})


def test_a_partition_that_is_added_to_the_topic_begins_at_its_first_offset(lake: SmallLake) -> None:
    lake.write(lake.open(TOPIC), {0: 3, 1: 3})
    writer = lake.open(topic_of({0: 3, 1: 3, 2: 4}))
    assert writer.position == {0: 3, 1: 3, 2: 0}
    lake.write(writer, {0: 3, 1: 3, 2: 4})
    lake.check({0: 3, 1: 3, 2: 4})
