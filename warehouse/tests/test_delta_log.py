"""The lake's log: what is read of it, and what stops the loader."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import TieoutError
from core.lake import Lake, LakeTable
from core.places import LocalPlace
from warehouse.delta_log import commits_after, recorded_ends, table_id
from warehouse.plan import plan_next
from warehouse.watermark import Watermark


def write(folder: Path, version: int, *actions: dict[str, object]) -> None:
    log = folder / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    (log / f"{version:020}.json").write_text("\n".join(json.dumps(action) for action in actions))


def table(folder: Path, name: str = "bronze") -> LakeTable:
    return Lake(LocalPlace(folder)).table(name)


def made(identity: str = "table-1") -> dict[str, object]:
    return {"metaData": {"id": identity}}


def batch(end: int, rows: int, start: int = 0, topic: str = "topic-1") -> list[dict[str, Any]]:
    recorded = {"tieout": 1, "topic_id": topic, "start": {"0": start}, "end": {"0": end}, "rows": rows}
    added: dict[str, Any] = {
        "path": f"year=2026/f%20{end}.parquet",
        "dataChange": True,
        "stats": json.dumps({"numRecords": rows}),
    }
    commit: dict[str, Any] = {"commitInfo": {"userMetadata": json.dumps(recorded)}}
    return [commit, *([{"add": added}] if rows else [])]


def test_a_commit_tells_its_files_and_offsets(tmp_path: Path) -> None:
    write(tmp_path / "bronze", 0, made(), *batch(10, 8))
    (commit,) = commits_after(table(tmp_path), -1, table_id(table(tmp_path)))
    assert commit.end == {0: 10}
    assert [(file.path, file.rows) for file in commit.files] == [("year=2026/f 10.parquet", 8)]
    assert recorded_ends(table(tmp_path)) == {0: 10}


def test_recorded_ends_skip_commits_of_other_writers(tmp_path: Path) -> None:
    assert recorded_ends(table(tmp_path)) == {}
    write(tmp_path / "bronze", 0, made(), *batch(10, 8))
    write(tmp_path / "bronze", 1, {"commitInfo": {"operation": "OPTIMIZE"}})
    assert recorded_ends(table(tmp_path)) == {0: 10}


def test_a_missing_version_stops_and_is_named(tmp_path: Path) -> None:
    write(tmp_path / "bronze", 0, made(), *batch(10, 8))
    write(tmp_path / "bronze", 2, *batch(20, 10, 10))
    with pytest.raises(TieoutError, match="lacks version 1"):
        list(commits_after(table(tmp_path), -1, "table-1"))


def test_a_log_that_went_back_stops(tmp_path: Path) -> None:
    write(tmp_path / "bronze", 0, made(), *batch(10, 8))
    with pytest.raises(TieoutError, match="before version 5"):
        list(commits_after(table(tmp_path), 5, "table-1"))


@pytest.mark.parametrize(
    ("actions", "why"),
    [
        ([{"remove": {"path": "a", "dataChange": True}}], "removes data in version 1"),
        ([made("table-2")], "becomes another table in version 1"),
        ([{"add": {"path": "a", "dataChange": True}}], "does not come from the stream"),
        ([*batch(20, 0, 10), {"add": {"path": "a", "deletionVector": {"x": 1}}}], "deletion vector"),
    ],
)
def test_a_change_that_is_no_append_of_the_stream_stops(
    tmp_path: Path, actions: list[dict[str, object]], why: str
) -> None:
    write(tmp_path / "bronze", 0, made(), *batch(10, 8))
    write(tmp_path / "bronze", 1, *actions)
    with pytest.raises(TieoutError, match=why):
        list(commits_after(table(tmp_path), -1, "table-1"))


def test_compaction_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "bronze", 0, made(), *batch(10, 8))
    rewritten: list[dict[str, Any]] = [
        {"remove": {"path": "a", "dataChange": False}},
        {"add": {"path": "b", "dataChange": False}},
    ]
    write(tmp_path / "bronze", 1, *rewritten)
    assert [len(commit.files) for commit in commits_after(table(tmp_path), -1, "table-1")] == [1, 0]


def test_another_table_at_the_same_place_stops(tmp_path: Path) -> None:
    write(tmp_path / "bronze", 0, made("table-2"), *batch(10, 8))
    loaded = Watermark("table-1", 0, "topic-1", {0: 10})
    with pytest.raises(TieoutError, match="is another table"):
        plan_next(table(tmp_path), table(tmp_path, "dead"), loaded, None, 100)


def test_a_load_takes_whole_commits_up_to_the_limit_and_a_larger_one_alone(tmp_path: Path) -> None:
    bronze = tmp_path / "bronze"
    write(bronze, 0, made())
    for version, (end, rows) in enumerate([(4, 4), (8, 4), (12, 4), (40, 28), (44, 4)], start=1):
        write(bronze, version, *batch(end, rows, end - rows))
    taken, loaded = [], None
    while (load := plan_next(table(tmp_path), table(tmp_path, "dead"), loaded, None, 10)) is not None:
        taken.append((load.from_version, load.bronze_watermark.version, load.rows, load.expected[0]))
        loaded = load.bronze_watermark
    assert taken == [(0, 2, 8, 8), (3, 3, 4, 4), (4, 4, 28, 28), (5, 5, 4, 4)]


def test_a_batch_replayed_after_a_crash_counts_once(tmp_path: Path) -> None:
    bronze = tmp_path / "bronze"
    write(bronze, 0, made(), *batch(10, 10))
    write(bronze, 1, *batch(10, 0, 0))
    write(bronze, 2, *batch(15, 5, 0))
    load = plan_next(table(tmp_path), table(tmp_path, "dead"), None, None, 100)
    assert load is not None
    assert (load.start, load.end, load.expected) == ({0: 0}, {0: 15}, {0: 15})


def test_dead_letters_beyond_bronze_wait(tmp_path: Path) -> None:
    bronze, dead = tmp_path / "bronze", tmp_path / "dead"
    write(bronze, 0, made(), *batch(10, 8))
    write(dead, 0, made("dead-1"), *batch(10, 2))
    write(dead, 1, *batch(20, 3, 10))
    load = plan_next(table(tmp_path), table(tmp_path, "dead"), None, None, 100)
    assert load is not None
    assert load.dead_letter_watermark is not None
    assert load.dead_letter_watermark.version == 0
    write(bronze, 1, *batch(15, 3, 10))
    load = plan_next(table(tmp_path), table(tmp_path, "dead"), load.bronze_watermark, load.dead_letter_watermark, 100)
    assert load is not None
    assert [commit.version for commit in load.dead_letters] == [1]
    assert load.dead_letter_watermark is not None
    assert load.dead_letter_watermark.version == 0, "offsets 15 to 20 of that commit are still to come"


def test_a_new_topic_begins_a_load_of_its_own(tmp_path: Path) -> None:
    bronze = tmp_path / "bronze"
    write(bronze, 0, made(), *batch(10, 10))
    write(bronze, 1, *batch(5, 5, topic="topic-2"))
    first = plan_next(table(tmp_path), table(tmp_path, "dead"), None, None, 100)
    assert first is not None
    second = plan_next(table(tmp_path), table(tmp_path, "dead"), first.bronze_watermark, None, 100)
    assert second is not None
    assert (first.topic_id, first.end, second.topic_id, second.end) == ("topic-1", {0: 10}, "topic-2", {0: 5})
