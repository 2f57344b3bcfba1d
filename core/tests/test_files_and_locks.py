"""Whole files and locks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import files
from core.files import give_to_owner, owner_of, replacing, write_file
from core.locks import (
    NOBODY,
    AdvisoryKey,
    advisory_holder,
    exclusive,
    exclusive_now,
    is_advisory_held,
    is_record_locked,
)


def test_a_file_is_replaced_as_a_whole_and_is_private_from_its_first_moment(tmp_path: Path) -> None:
    path = tmp_path / "a file"
    write_file(path, "old", mode=0o600)
    old_mask = os.umask(0)
    try:
        with replacing(path, mode=0o600) as partial:
            assert partial.stat().st_mode & 0o777 == 0o600
            partial.write_text("new", encoding="utf-8")
            assert path.read_text(encoding="utf-8") == "old"
    finally:
        os.umask(old_mask)
    assert path.read_text(encoding="utf-8") == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_device_a_pipe_and_a_folder_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "..", Path("/"), Path(), Path("/dev/null")):
        with pytest.raises(OSError, match="no regular file"):
            write_file(path, "x")
    assert (tmp_path / "pipe").is_fifo()


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old", sync=True)

    def fail() -> None:
        with replacing(path) as partial:
            partial.write_bytes(b"half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_removed_and_a_living_writer_s_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "file"
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    left = tmp_path / f".file.{dead.stdout.strip()}-1.partial"
    just_begun = tmp_path / f".file.{dead.stdout.strip()}-2.partial"
    living, no_process = tmp_path / f".file.{os.getppid()}-1.partial", tmp_path / f".file.{'9' * 30}-1.partial"
    for each in (left, just_begun, living, no_process):
        each.touch()
    for each in (left, living, no_process):
        os.utime(each, (0, 0))
    write_file(path, "new")
    assert sorted(tmp_path.iterdir()) == sorted([path, living, just_begun, no_process])


def test_a_process_that_may_not_be_asked_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / ".file.4711-1.partial"

    def kill(error: type[OSError]) -> None:
        def refuse(*_: object) -> None:
            raise error

        monkeypatch.setattr(files.os, "kill", refuse)

    for error, stays in ((PermissionError, True), (ProcessLookupError, False)):
        left.touch()
        os.utime(left, (0, 0))
        kill(error)
        write_file(tmp_path / "file", "new")
        assert left.exists() == stays


def test_what_is_written_goes_into_the_new_file_although_its_name_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, real = tmp_path / "other", os.fchmod
    other.write_text("untouched", encoding="utf-8")

    def exchange(descriptor: int, mode: int) -> None:
        real(descriptor, mode)
        (partial,) = tmp_path.glob(".file.*.partial")
        partial.unlink()
        partial.symlink_to(other)

    monkeypatch.setattr(files.os, "fchmod", exchange)
    write_file(tmp_path / "file", "new")
    assert other.read_text(encoding="utf-8") == "untouched"


def test_two_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    code = (
        "import sys\nfrom pathlib import Path\nfrom core.files import write_file\n"
        "for _ in range(300): write_file(Path(sys.argv[1]), sys.argv[2] * 100_000)"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(path), letter]) for letter in "ab"]
    while any(each.poll() is None for each in both):
        if path.exists():
            assert path.read_text() in ("a" * 100_000, "b" * 100_000)
    assert [each.returncode for each in both] == [0, 0]


def test_a_held_lock_is_waited_for_or_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    waits = []
    with exclusive(path):
        with pytest.raises(BlockingIOError), exclusive_now(path):
            pass
        code = (
            "import sys; from pathlib import Path; from core.locks import exclusive\n"
            "with exclusive(Path(sys.argv[1]), lambda: print('waits', flush=True)): print('in', flush=True)"
        )
        other = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        waits.append(other.stdout.readline())
    waits.append(other.stdout.readline())
    assert waits == ["waits\n", "in\n"]
    assert other.wait(10) == 0


def test_a_record_lock_of_another_process_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_record_locked(path)
    code = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX);"
        " print('held', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    assert is_record_locked(path)
    other.communicate("\n")
    assert not is_record_locked(path)


def test_nobody_else_may_open_a_lock_and_so_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch(0o644)
    for _ in range(2):
        with exclusive(path):
            assert path.stat().st_mode & 0o777 == 0o600
        path.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_makes_belongs_to_the_owner_of_its_folder(tmp_path: Path) -> None:
    folder, path = tmp_path / "folder", tmp_path / "folder" / "file"
    folder.mkdir()
    path.touch()
    os.chown(folder, 12345, 54321)
    give_to_owner(path, folder)
    assert owner_of(path) == (12345, 54321)


class Holders:
    """Answers as a database whose lock these sessions hold."""

    def __init__(self, *rows: tuple[str, str, int]) -> None:
        self.rows = list(rows)

    def execute(self, *_: object) -> "Holders":
        return self

    def fetchall(self) -> list[tuple[str, str, int]]:
        return self.rows


def test_a_lock_is_held_by_a_role_only_when_a_session_of_just_that_role_has_it() -> None:
    held = Holders(("liver", "psql", 1), ("live", "", 2))
    assert is_advisory_held(held, AdvisoryKey.LIVE, "live")
    assert not is_advisory_held(Holders(("liver", "live", 1)), AdvisoryKey.LIVE, "live")
    assert not is_advisory_held(Holders(), AdvisoryKey.LIVE, "live")
    assert advisory_holder(held, AdvisoryKey.LIVE) == "role liver (psql), server process 1"
    assert advisory_holder(Holders(), AdvisoryKey.LIVE) == NOBODY
