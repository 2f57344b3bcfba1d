"""Throw-away homes: what a kill left is ended and removed; what somebody still has, or is to be kept, stays."""

import os
import subprocess
from pathlib import Path

import pytest

from control import throwaway

DEAD = "4194304 1.0"  # no process: above the kernel's largest number


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def left_by_a_kill(folder: Path) -> Path:
    home = folder / "tieout-drill-1"
    (home / "data").mkdir(parents=True)
    (home / throwaway.OWNER).write_text(DEAD)
    return home


def test_what_a_kill_left_is_ended_and_removed(tmp_path: Path) -> None:
    home = left_by_a_kill(tmp_path)
    sleeper = subprocess.Popen(["sleep", "600"], env={"TIEOUT_HOME": str(home), "PATH": os.environ["PATH"]})
    try:
        assert throwaway.sweep("tieout-drill-") == [home]
        assert sleeper.wait(10) != 0
    finally:
        sleeper.kill()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_was_mounted_in_it_goes_too(tmp_path: Path) -> None:
    small = left_by_a_kill(tmp_path) / "small-disk"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=False).returncode:
        pytest.skip("A MOUNTED DISK IS NOT TESTED: only root can mount one, and this machine must allow it")
    try:
        throwaway.sweep("tieout-drill-")
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", small], check=False, stderr=subprocess.DEVNULL)


def test_homes_of_the_living_of_nobody_and_of_others_stay(tmp_path: Path) -> None:
    for name in ("tieout-drill-mine", "tieout-drill-kept", "tieout-bench-1"):
        (tmp_path / name).mkdir()
    throwaway.claim(tmp_path / "tieout-drill-mine")
    throwaway.claim(tmp_path / "tieout-drill-kept")
    throwaway.release(tmp_path / "tieout-drill-kept")
    (tmp_path / "tieout-bench-1" / throwaway.OWNER).write_text(DEAD)
    assert throwaway.sweep("tieout-drill-") == []
    assert len(list(tmp_path.iterdir())) == 3
