"""Maintenance is killed at its failpoints and at any moment of a commit. The table stays whole."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import delta_tables as lake
import pytest

from core.failpoints import VARIABLE
from spark_streaming.maintenance import expire_days, maintain_table
from spark_streaming.tables import StreamTable

# Waits for a line, so that a kill can be timed from there.
PROGRAM = """
import sys
from datetime import date
from pathlib import Path
import delta_tables as lake
from spark_streaming.maintenance import expire_days, maintain_table
table = lake.dead_letters(Path(sys.argv[1]))
version = lake.version(table)
print("ready", flush=True)
input()
if sys.argv[2] == "expire":
    expire_days(table, version, date(2025, 11, 3))
else:
    maintain_table(table, version)
print("done", flush=True)
"""
BATCHES = 48


@pytest.fixture(scope="module")
def forty_eight_batches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The next commit makes a checkpoint."""
    folder = tmp_path_factory.mktemp("lake")
    table = lake.dead_letters(folder)
    for batch in range(BATCHES):
        lake.append(table, 1 + batch // 16, count=2)
    return folder


@pytest.fixture
def table(forty_eight_batches: Path, tmp_path: Path) -> StreamTable:
    shutil.copytree(forty_eight_batches, tmp_path, dirs_exist_ok=True)
    return lake.dead_letters(tmp_path)


def start(table: StreamTable, work: str, failpoint: str = "") -> subprocess.Popen[str]:
    """Return a process that is about to do the work."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, lake.folder_of(table).parent, work],
        cwd=Path(__file__).parent,
        env={**os.environ, VARIABLE: failpoint} if failpoint else dict(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("day", [1, 2, 3])
def test_killed_before_the_commit_of_any_day_it_leaves_a_file_that_nobody_reads_and_goes_on_next_time(
    table: StreamTable, day: int
) -> None:
    before, were = lake.rows(table), lake.files(table)
    process = start(table, "compact", f"maintain.before-commit:{day}")
    go(process)
    assert process.wait(60) == -9
    assert lake.rows(table) == before
    assert lake.offsets(table) == list(range(2 * BATCHES))
    done = maintain_table(table, lake.version(table) if day == 1 else BATCHES)
    assert done["days_compacted"] == 4 - day
    assert len(lake.files(table)) == 3
    assert lake.rows(table) == before
    unnamed = set(lake.folder_of(table).rglob("*.parquet")) - {*were, *lake.files(table), *lake.log_of(table).iterdir()}
    assert len(unnamed) == 1
    for path in unnamed:
        os.utime(path, (time.time() - 8 * 24 * 3600,) * 2)
    maintain_table(table, lake.version(table))
    assert not any(path.exists() for path in unnamed)


def test_killed_while_files_are_removed_it_removes_the_others_next_time(table: StreamTable) -> None:
    before = lake.rows(table)
    folder = next(iter(lake.files(table))).parent
    unneeded = [folder / f"part-{number}.parquet" for number in range(5)]
    for path in unneeded:
        path.touch()
        os.utime(path, (time.time() - 8 * 24 * 3600,) * 2)
    process = start(table, "compact", "maintain.in-vacuum:2")
    go(process)
    assert process.wait(60) == -9
    assert sum(path.exists() for path in unneeded) == 3
    maintain_table(table, lake.version(table))
    assert not any(path.exists() for path in unneeded)
    assert lake.rows(table) == before


@pytest.mark.parametrize("work", ["compact", "expire"])
def test_killed_at_any_moment_of_commit_checkpoint_and_hint_the_table_is_whole(
    forty_eight_batches: Path, tmp_path: Path, work: str
) -> None:
    left = {"compact": [list(range(2 * BATCHES))], "expire": [list(range(2 * BATCHES)), list(range(64, 2 * BATCHES))]}
    for turn in range(5):
        shutil.copytree(forty_eight_batches, tmp_path / str(turn))
        table = lake.dead_letters(tmp_path / str(turn))
        process = start(table, work)
        go(process)
        time.sleep(0.02 * turn)
        process.kill()
        process.communicate()
        assert lake.offsets(table) in left[work], turn
        if work == "expire":
            expire_days(table, BATCHES, lake.STARTED.date().replace(day=3))
        maintain_table(table, BATCHES)
        lake.append(table, 3, count=2)
        assert lake.offsets(table) == [*left[work][-1], 2 * BATCHES, 2 * BATCHES + 1], turn
