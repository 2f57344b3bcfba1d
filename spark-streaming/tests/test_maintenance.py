"""Compaction, expiry and vacuum of real Delta tables: no row changes, nothing beyond the watermark is touched."""

import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import delta_tables as lake
import pytest
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError

from core.errors import TieoutError
from core.layout import CHECKOUT, Layout
from core.locks import is_record_locked
from core.settings import Settings
from spark_streaming import lock, maintenance, tables
from spark_streaming.columns import PARTITION_COLUMNS as DAYS
from spark_streaming.ends import Recorded, commit_metadata
from spark_streaming.errors import LakeBusyError, LakeTakenError
from spark_streaming.files import _DayFile
from spark_streaming.maintenance import expire_days, maintain_table, run_maintenance
from spark_streaming.owned_table import OwnedTable
from spark_streaming.tables import StreamTable
from warehouse.delta_log import commits_after, table_id

DAY = 24 * 3600


def tables_below(folder: Path) -> tuple[StreamTable, StreamTable]:
    return lake.bronze(folder), lake.dead_letters(folder)


@pytest.fixture(scope="module")
def seven_batches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five batches of a first day, then two of the next."""
    folder = tmp_path_factory.mktemp("lake ä")
    for table in tables_below(folder):
        for batch in range(7):
            lake.append(table, 21 if batch < 5 else 22)
    return folder


@pytest.fixture
def both(seven_batches: Path, tmp_path: Path) -> tuple[StreamTable, StreamTable]:
    """Bronze and dead letters, a copy: a Delta table names its files by their place in it."""
    shutil.copytree(seven_batches, tmp_path, dirs_exist_ok=True)
    return tables_below(tmp_path)


@pytest.fixture
def bronze(both: tuple[StreamTable, StreamTable]) -> StreamTable:
    return both[0]


@pytest.fixture
def dead_letters(both: tuple[StreamTable, StreamTable]) -> StreamTable:
    return both[1]


def of_day(day: int, paths: set[Path]) -> set[Path]:
    return {path for path in paths if path.parent.name == f"day={day}"}


def test_compaction_changes_no_row_and_its_commit_says_how_far_the_table_has_got(bronze: StreamTable) -> None:
    before, were, ends, last = lake.rows(bronze), lake.files(bronze), tables.recorded(bronze), lake.version(bronze)
    assert len(before) == 28
    done = maintain_table(bronze, last)
    assert done == {"watermark": last, "days_compacted": 1, "files_before": 7, "files_after": 3}
    assert len(of_day(21, lake.files(bronze))) == 1
    assert of_day(22, lake.files(bronze)) == of_day(22, were), "two files are too few to be worth it"
    assert lake.rows(bronze) == before
    assert lake.version(bronze) == last + 1
    assert tables.recorded(bronze) == ends == Recorded(lake.TOPIC_ID, {0: 28})
    commit = bronze.lake.delta().history(1)[0]
    assert tables.read_metadata(commit["userMetadata"]) == ends
    assert '"compacted":5' in commit["userMetadata"]
    assert lake.last_of_the_stream(bronze) == 28
    assert maintain_table(bronze, lake.version(bronze))["days_compacted"] == 0


def test_the_loader_passes_over_a_compaction_since_no_data_changes_with_it(bronze: StreamTable) -> None:
    last = lake.version(bronze)
    maintain_table(bronze, last)
    changes = [
        (kind, action[kind]["dataChange"])
        for action in bronze.lake.actions(last + 1)
        for kind in ("add", "remove")
        if kind in action
    ]
    assert sorted(changes) == [("add", False), *[("remove", False)] * 5]
    *earlier, commit = commits_after(bronze.lake, -1, table_id(bronze.lake))
    assert sum(len(each.files) for each in earlier) == 7
    assert all(bronze.lake.has(file.path) for each in earlier for file in each.files), (
        "a load of old versions reads them"
    )
    assert (commit.version, commit.files, commit.rows, commit.start, commit.end) == (last + 1, (), 0, {0: 28}, {0: 28})


def test_a_day_with_one_file_beyond_the_watermark_is_left_alone(bronze: StreamTable) -> None:
    passed = lake.version(bronze)
    lake.append(bronze, 21)
    before = lake.files(bronze)
    assert maintain_table(bronze, passed)["days_compacted"] == 0
    assert lake.files(bronze) == before
    assert maintain_table(bronze, passed + 1)["days_compacted"] == 1


def test_a_new_file_of_one_day_holds_no_other_day_back(bronze: StreamTable) -> None:
    passed = lake.version(bronze)
    lake.append(bronze, 22)
    lake.append(bronze, 22)
    assert maintain_table(bronze, passed)["days_compacted"] == 1
    assert len(of_day(21, lake.files(bronze))) == 1
    assert len(of_day(22, lake.files(bronze))) == 4


def test_files_whose_names_the_log_writes_with_escapes_are_found_and_replaced(bronze: StreamTable) -> None:
    for number in range(2):
        lake.append(bronze, 22, name=f"part {number} ä%41.parquet")
    assert maintain_table(bronze, lake.version(bronze))["files_after"] == 2
    assert lake.offsets(bronze) == list(range(36))


def test_what_the_loader_has_never_read_is_left_alone(bronze: StreamTable) -> None:
    last = lake.version(bronze)
    assert maintain_table(bronze, None)["watermark"] is None
    assert lake.version(bronze) == last


def test_where_the_log_no_longer_has_the_watermark_no_day_counts_as_loaded(
    bronze: StreamTable, caplog: pytest.LogCaptureFixture
) -> None:
    bronze.lake.delta().create_checkpoint()
    for commit in lake.log_of(bronze).glob("0*.json"):
        if int(commit.stem) < lake.version(bronze):
            commit.unlink()
    assert maintain_table(bronze, 3)["days_compacted"] == 0
    assert "no longer knows its version 3" in caplog.text
    assert maintain_table(bronze, lake.version(bronze))["days_compacted"] == 1


def test_files_are_on_the_disk_before_the_commit_and_the_commit_before_it_counts(
    bronze: StreamTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    sync, commit = os.fsync, DeltaTable.create_write_transaction

    def synced(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        events.append(path.parent.name + "/" + path.suffix if path.is_file() else path.name)
        sync(descriptor)

    def committed(*words: Any, **names: Any) -> None:
        commit(*words, **names)
        events.append("commit")

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(DeltaTable, "create_write_transaction", committed)
    maintain_table(bronze, lake.version(bronze))
    assert events == ["day=21/.parquet", "day=21", "commit", "_delta_log/.json", "_delta_log"]


def test_an_append_beside_a_compaction_is_kept_and_the_compaction_states_its_end(
    bronze: StreamTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge, last = maintenance.merge, lake.version(bronze)

    def and_meanwhile(*words: Any) -> Any:
        action = merge(*words)
        lake.append(bronze, 21)
        return action

    monkeypatch.setattr(maintenance, "merge", and_meanwhile)
    assert maintain_table(bronze, last)["files_after"] == 4
    assert lake.offsets(bronze) == list(range(32))
    assert tables.recorded(bronze).ends == {0: 32}
    assert lake.version(bronze) == last + 2
    assert lake.last_of_the_stream(bronze) == 32


def test_a_writer_that_knows_an_older_version_appends_after_a_compaction(bronze: StreamTable) -> None:
    old = bronze.lake.delta()
    maintain_table(bronze, lake.version(bronze))
    lake.append(bronze, 21, seen=old)
    assert lake.offsets(bronze) == list(range(32))
    assert (tables.recorded(bronze).ends, lake.last_of_the_stream(bronze)) == ({0: 32}, 32)


@pytest.mark.parametrize("other", ["compaction", "expiry"])
def test_a_compaction_whose_files_another_process_has_replaced_is_refused_and_no_row_is_there_twice(
    dead_letters: StreamTable, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    merge, last = maintenance.merge, lake.version(dead_letters)

    def and_meanwhile(*words: Any) -> Any:
        action = merge(*words)
        monkeypatch.setattr(maintenance, "merge", merge)
        if other == "compaction":
            assert maintain_table(dead_letters, last)["days_compacted"] == 1
        else:
            assert expire_days(dead_letters, last, lake.STARTED.date().replace(day=22)) == 1
        return action

    monkeypatch.setattr(maintenance, "merge", and_meanwhile)
    with pytest.raises(LakeBusyError, match=f"replaced files of dead_letters since version {last}"):
        maintain_table(dead_letters, last)
    assert lake.version(dead_letters) == last + 1
    assert lake.offsets(dead_letters) == list(range(0 if other == "compaction" else 20, 28))


def test_the_writer_that_owns_the_table_goes_on_after_maintenance_and_the_one_before_it_stays_shut_out(
    bronze: StreamTable,
) -> None:
    before, owner = (OwnedTable.take_over(bronze, "transactions") for _ in range(2))
    maintain_table(bronze, lake.version(bronze))
    owner.commit(lake.written(bronze, 21, range(28, 30)), {0: 28}, {0: 30})
    with pytest.raises(LakeTakenError):
        before.commit(lake.written(bronze, 21, range(28, 30)), {0: 28}, {0: 30})
    assert lake.offsets(bronze) == list(range(30))


def test_a_column_that_this_code_does_not_know_is_kept(bronze: StreamTable) -> None:
    before = lake.rows(bronze)
    schema = bronze.schema
    unknowing = replace(bronze, schema=schema.remove(schema.get_field_index("raw_value")))
    assert maintain_table(unknowing, lake.version(bronze))["days_compacted"] == 1
    assert lake.rows(bronze) == before


@pytest.mark.parametrize("kind", [CommitFailedError, OSError])
def test_a_commit_whose_answer_was_lost_is_not_made_again(
    bronze: StreamTable, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    commit, last = DeltaTable.create_write_transaction, lake.version(bronze)

    def unanswered(*words: Any, **names: Any) -> None:
        commit(*words, **names)
        raise kind("the answer was lost")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", unanswered)
    assert maintain_table(bronze, last)["files_after"] == 3
    assert (lake.version(bronze), len(lake.rows(bronze))) == (last + 1, 28)


def test_a_commit_that_fails_for_another_reason_is_not_tried_for_ever(
    bronze: StreamTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise CommitFailedError("no")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", refused)
    with pytest.raises(CommitFailedError, match=r"^no$"):
        maintain_table(bronze, lake.version(bronze))
    assert len(lake.rows(bronze)) == 28


def test_vacuum_keeps_a_week_for_readers_and_removes_files_of_unfinished_commits_that_are_older(
    bronze: StreamTable,
) -> None:
    were, last = lake.files(bronze), lake.version(bronze)
    folder = next(iter(of_day(21, were))).parent
    young, old, odd = (folder / f"part-{name}.parquet" for name in ("6-days", "8-days", "8 days ä%41"))
    for path, days in ((young, 6), (old, 8), (odd, 8), *((path, 8) for path in were)):
        path.touch()
        os.utime(path, (time.time() - days * DAY,) * 2)
    maintain_table(bronze, last)
    assert young.exists()
    assert not old.exists()
    assert not odd.exists()
    replaced = were - lake.files(bronze)
    assert len(replaced) == 5
    assert all(path.exists() for path in replaced), "a reader may have them open"
    assert lake.version(bronze) == last + 1, "a vacuum commits nothing: what it stated could be overtaken"


def test_vacuum_removes_replaced_files_after_a_week(bronze: StreamTable, monkeypatch: pytest.MonkeyPatch) -> None:
    were, now = lake.files(bronze), time.time
    with monkeypatch.context() as eight_days_ago:
        eight_days_ago.setattr(maintenance.time, "time", lambda: now() - 8 * DAY)
        eight_days_ago.setattr(maintenance, "_vacuum", lambda _: None)
        maintain_table(bronze, lake.version(bronze))
    for path in were:
        os.utime(path, (now() - 8 * DAY,) * 2)
    before = lake.rows(bronze)
    maintain_table(bronze, lake.version(bronze))
    assert {path for path in were if path.exists()} == of_day(22, were)
    assert lake.rows(bronze) == before
    assert len(before) == 28


def test_dead_letters_go_by_whole_days_that_the_loader_has_passed_and_the_commit_says_so(
    dead_letters: StreamTable,
) -> None:
    second = lake.STARTED.date().replace(day=22)
    ends, held, were = tables.recorded(dead_letters), lake.rows(dead_letters), lake.files(dead_letters)
    last = lake.version(dead_letters)
    assert expire_days(dead_letters, None, second) == 0
    assert expire_days(dead_letters, 2, second) == 0, "the loader has not read all of the day"
    assert expire_days(dead_letters, last, second.replace(day=21)) == 0
    assert lake.rows(dead_letters) == held
    assert lake.version(dead_letters) == last
    assert expire_days(dead_letters, last, second) == 1
    left = lake.rows(dead_letters)
    assert left
    assert left == [row for row in held if row["arrived_at"].date() == second]
    (commit,) = commits_after(dead_letters.lake, last, table_id(dead_letters.lake))
    assert (commit.files, commit.rows) == ((), 0), "the loader passes over it"
    assert '"expired_before":"2025-11-22"' in dead_letters.lake.delta().history(1)[0]["userMetadata"]
    assert tables.recorded(dead_letters) == ends
    assert lake.last_of_the_stream(dead_letters) == 28
    assert all(path.exists() for path in were), "a reader may have them open"
    assert expire_days(dead_letters, last + 1, second) == 0
    assert maintain_table(dead_letters, last)["files_after"] == 2


def test_where_a_table_has_only_begun_with_a_topic_maintenance_does_not_end_that(dead_letters: StreamTable) -> None:
    found = dead_letters.lake.delta()
    begins = commit_metadata("transactions", "T2", {0: 5}, {0: 5}, 0, begins=True)
    found.create_write_transaction(
        [], "append", found.schema(), [*DAYS], commit_properties=CommitProperties({"userMetadata": begins})
    )
    assert expire_days(dead_letters, lake.version(dead_letters), lake.STARTED.date().replace(day=22)) == 1
    assert tables.recorded(dead_letters) == Recorded("T2", {0: 5}, begins=True)


def test_a_table_without_a_commit_of_ours_is_compacted_by_a_commit_that_says_nothing(
    bronze: StreamTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "recorded", lambda *_: Recorded())
    assert maintain_table(bronze, lake.version(bronze))["days_compacted"] == 1
    assert "userMetadata" not in bronze.lake.delta().history(1)[0]


def test_a_table_without_a_file_is_maintained_too(tmp_path: Path) -> None:
    table = lake.dead_letters(tmp_path)
    assert maintain_table(table, 0) == {"watermark": 0, "days_compacted": 0, "files_before": 0, "files_after": 0}
    assert expire_days(table, 0, lake.STARTED.date()) == 0


@pytest.fixture
def home(both: tuple[StreamTable, StreamTable], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Layout]:
    """A home with this lake, which the loader has passed; the process's umask is left as it is."""
    layout = Layout(CHECKOUT, tmp_path)
    layout.data.mkdir()
    for table in both:
        lake.folder_of(table).rename(layout.data / lake.folder_of(table).name)
    monkeypatch.setattr(maintenance, "watermarks", lambda _: {"raw_transactions": 7, "dead_letter_queue": 7})
    own = os.umask(0o022)
    yield layout
    os.umask(own)


def test_without_a_stream_this_process_maintains_every_table_and_holds_the_writers_lock(
    home: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge, held, were = maintenance.merge, [], set(home.data.rglob("*.parquet"))

    def noted(*words: Any) -> Any:
        held.append(json.loads(lock.holder_file(home.writer_lock).read_text())["driver"])
        return merge(*words)

    monkeypatch.setattr(maintenance, "merge", noted)
    done = run_maintenance(Settings(), home, patience=1, expire_before="2025-11-22")
    assert held == [os.getpid()], "a day of bronze; that of the dead letters has expired"
    payments = {"entity": "transactions", "watermark": 7}
    unread = {"entity": "refunds", "watermark": None, "days_compacted": 0, "files_before": None, "files_after": None}
    assert done == {
        "bronze": {**payments, "days_compacted": 1, "files_before": 7, "files_after": 3},
        "dead_letters": {**payments, "days_compacted": 0, "files_before": 2, "files_after": 2, "days_expired": 1},
        "bronze_refunds": unread,
        "dead_letters_refunds": unread | {"days_expired": 0},
    }
    assert not is_record_locked(home.writer_lock)
    (merged,) = of_day(21, set((home.data / "raw_transactions").rglob("*.parquet"))) - were
    assert merged.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_one_error_with_the_next_command_and_the_lake_is_whole(
    home: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_DayFile, "close", full)
    before = set(home.data.rglob("*.parquet"))
    with pytest.raises(TieoutError, match=r"^transactions: Maintenance failed: .*No space left on device") as failed:
        run_maintenance(Settings(), home, patience=1)
    assert "tieout maintain" in failed.value.next
    assert set(home.data.rglob("*.parquet")) == before
