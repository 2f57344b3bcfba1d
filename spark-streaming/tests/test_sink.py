"""Batches into real Delta tables: replays, crashes between the two commits, and the guards."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from small_lake import GOOD, SmallLake, dies_before_bronze, topic_of

from spark_streaming import tables
from spark_streaming.errors import LakeStateError, LakeTakenError

pytestmark = pytest.mark.services
TOPIC = topic_of({0: 1000, 1: 1000})


@pytest.fixture
def lake(spark: Any, tmp_path: Path) -> SmallLake:
    return SmallLake(spark, tmp_path)


def test_a_replay_with_the_same_or_other_boundaries_writes_nothing_twice(lake: SmallLake) -> None:
    writer = lake.open(TOPIC)
    lake.write(writer, {0: 10, 1: 7})
    versions = [table.lake.delta().version() for table in (lake.bronze, lake.dead_letters)]
    for end in ({0: 10, 1: 7}, {0: 4, 1: 7}):
        writer.position = {0: 0, 1: 0}
        report = lake.write(writer, end)
        assert (report.bronze, report.dead_letters, writer.position) == (0, 0, end)
        assert [table.lake.delta().version() for table in (lake.bronze, lake.dead_letters)] == versions
    writer.position = {0: 3, 1: 0}
    report = lake.write(writer, {0: 13, 1: 9})
    assert (report.bronze, report.dead_letters) == (4, 1)
    lake.check({0: 13, 1: 9})


def test_after_a_crash_between_the_two_commits_the_replay_completes_bronze_and_repeats_no_dead_letter(
    lake: SmallLake,
) -> None:
    writer = lake.open(TOPIC)
    lake.write(writer, {0: 5, 1: 5})
    with dies_before_bronze():
        lake.write(writer, {0: 20, 1: 12})
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
    assert tables.recorded(lake.bronze).ends == {0: 8, 1: 5}
    assert tables.recorded(lake.dead_letters).ends == {0: 6, 1: 1}
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


def test_a_commit_to_a_table_that_does_not_end_where_its_writer_thinks_is_refused(lake: SmallLake) -> None:
    writer = lake.open(TOPIC)
    lake.write(writer, {0: 10, 1: 10})
    writer.bronze.ends, writer.dead_letters.ends, writer.position = {}, {}, {}
    with pytest.raises(LakeStateError, match="has got to 20 offsets by its log, and its writer only knows of 0"):
        lake.write(writer, {0: 9, 1: 9})
    lake.check({0: 10, 1: 10})


def test_a_writer_that_slept_while_another_took_over_commits_nothing(lake: SmallLake) -> None:
    sleeper = lake.open(TOPIC)
    lake.write(sleeper, {0: 5, 1: 5})
    heir = lake.open(TOPIC)
    with pytest.raises(LakeTakenError, match="Another process has taken dead_letters over"):
        lake.write(sleeper, {0: 9, 1: 9})
    lake.write(heir, {0: 8, 1: 6})
    lake.check({0: 8, 1: 6})
    with pytest.raises(LakeTakenError):
        lake.write(sleeper, {0: 9, 1: 9})
    lake.check({0: 8, 1: 6})


def test_a_writer_whose_table_was_compacted_meanwhile_goes_on(lake: SmallLake) -> None:
    writer = lake.open(TOPIC)
    lake.write(writer, {0: 5, 1: 5})
    lake.write(writer, {0: 9, 1: 9})
    for table in (lake.bronze, lake.dead_letters):
        table.lake.delta().optimize.compact()
    lake.write(writer, {0: 12, 1: 12})
    lake.check({0: 12, 1: 12})


def test_a_commit_whose_answer_was_lost_is_found_in_the_log(lake: SmallLake) -> None:
    writer = lake.open(TOPIC)
    delta = writer.bronze.delta

    class LosesAnswers:
        def __getattr__(self, name: str) -> Any:
            return getattr(delta, name)

        def create_write_transaction(self, *arguments: Any, **options: Any) -> None:
            delta.create_write_transaction(*arguments, **options)
            raise OSError("timed out")

    writer.bronze.delta = LosesAnswers()  # type: ignore[assignment]
    assert lake.write(writer, {0: 5, 1: 5}).bronze == 8
    lake.write(writer, {0: 9, 1: 9})
    lake.check({0: 9, 1: 9})


def test_between_the_tables_ends_membership_decides_and_not_a_judge_that_changed(
    lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = lake.open(TOPIC)
    lake.write(writer, {0: 5, 1: 5})
    with dies_before_bronze():
        lake.write(writer, {0: 20, 1: 12})
    # To the judge of now every dead letter of before is sound, and offset 11 is malformed.
    malformed = GOOD.replace(b"12.34", b"12.345")
    monkeypatch.setattr(lake, "value", lambda offset: malformed if offset == 11 else GOOD)
    lake.write(lake.open(TOPIC), {0: 25, 1: 12})
    wanted = {(p, n) for p, end in ((0, 25), (1, 12)) for n in range(end)}
    letters = {(p, n) for p, n in wanted if (n % 5 == 0 and (p, n) != (0, 20)) or n == 11}
    assert lake.offsets(lake.dead_letters) == sorted(letters)
    assert lake.offsets(lake.bronze) == sorted(wanted - letters)
    assert [each["rows"] for each in lake.metadata(lake.dead_letters) if each.get("judged_again")] == [2]


def test_a_partition_that_is_added_to_the_topic_begins_at_its_first_offset(lake: SmallLake) -> None:
    lake.write(lake.open(TOPIC), {0: 3, 1: 3})
    writer = lake.open(topic_of({0: 3, 1: 3, 2: 4}))
    assert writer.position == {0: 3, 1: 3, 2: 0}
    lake.write(writer, {0: 3, 1: 3, 2: 4})
    lake.check({0: 3, 1: 3, 2: 4})


def test_a_lake_is_its_owners_alone_from_the_first_moment_whatever_the_umask(lake: SmallLake) -> None:
    before = os.umask(0)
    try:
        lake.write(lake.open(TOPIC), {0: 5, 1: 5})
    finally:
        os.umask(before)
    for table in (lake.bronze, lake.dead_letters):
        assert stat.S_IMODE(Path(table.lake.uri).stat().st_mode) == 0o700
        files = list(Path(table.lake.uri).rglob("*.parquet"))
        assert files
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
