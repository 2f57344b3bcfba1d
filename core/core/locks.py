"""Who may do what only one may do at a time: locks of files, and PostgreSQL's advisory locks."""

import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

from core.errors import TieoutError

NOBODY = "nobody any more"


class AdvisoryKey(IntEnum):
    """The keys of PostgreSQL's advisory locks; any constants that differ."""

    LOADER = 0x6C6F61646572
    REDRIVE = 0x72656472697665
    LIVE = 0x6C697665
    LAKE = 0x6C616B65
    BUILD = 0x7469656F7562
    PATTERNS = 0x7061747465726E
    MIGRATION = 0x7469656F7574


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of a file, however long another process has it; it ends with the process, also by kill -9.

    Args:
        path: the lock file, made when it is not there.
        on_wait: called once when somebody else holds it.
    """
    # Its owner's alone: whoever may open a file may also hold its lock.
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(handle).st_uid == os.geteuid():
            os.fchmod(handle, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def exclusive_now(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder that is there.

    Raises:
        OSError: another process holds it, or it cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def is_record_locked(path: Path) -> bool:
    """Say whether another process holds the POSIX record lock of a file, as Java takes it.

    It only asks: taking the lock for a moment could stop the process that is about to take it.
    """
    # struct flock of 64-bit Linux: type, whence, start, length, pid
    question = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        with path.open("rb+") as file:
            answer = fcntl.fcntl(file, fcntl.F_GETLK, question)
    except FileNotFoundError:
        return False
    return bool(struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK)


def take_advisory(
    connection: Any, key: AdvisoryKey, wait_seconds: float, is_stopping: Callable[[], bool] = lambda: False
) -> bool:
    """Take an advisory lock for a session; return whether it is ours.

    Args:
        connection: of psycopg, in autocommit mode or with a transaction that may go on.
        key: which lock.
        wait_seconds: how long to wait for the session that holds it.
        is_stopping: asked between two tries; ends the wait.
    """
    deadline = time.monotonic() + wait_seconds
    while not connection.execute("select pg_try_advisory_lock(%s)", [int(key)]).fetchone()[0]:
        if is_stopping() or time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True


@contextmanager
def hold_advisory(
    connection: Any,
    key: AdvisoryKey,
    wait_seconds: float,
    busy: Callable[[str], TieoutError],
    on_wait: Callable[[str], None] = lambda _: None,
) -> Iterator[None]:
    """Hold an advisory lock.

    Args:
        connection: as of `take_advisory`.
        key: which lock.
        wait_seconds: how long to wait for the session that holds it.
        busy: makes the error of a lock that is not to be had, out of the holder's description.
        on_wait: called once, with that description, before waiting.

    Raises:
        TieoutError: the one that `busy` makes.
    """
    if not take_advisory(connection, key, 0):
        holder = advisory_holder(connection, key)
        if wait_seconds > 0:
            on_wait(holder)
        if not take_advisory(connection, key, wait_seconds):
            raise busy(advisory_holder(connection, key))
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(%s)", [int(key)])


def advisory_holder(connection: Any, key: AdvisoryKey) -> str:
    """Return who holds an advisory lock: role, application and server process; NOBODY once it is free."""
    holders = _advisory_holders(connection, key)
    if not holders:
        return NOBODY
    role, application, pid = holders[0]
    name = f" ({application})" if application else ""
    return f"role {role}{name}, server process {pid}"


def is_advisory_held(connection: Any, key: AdvisoryKey, role: str) -> bool:
    """Say whether a session of a role holds an advisory lock."""
    return any(holder == role for holder, *_ in _advisory_holders(connection, key))


def _advisory_holders(connection: Any, key: AdvisoryKey) -> list[tuple[str, str, int]]:
    rows: list[tuple[str, str, int]] = connection.execute(
        "select usename, application_name, pid from pg_locks join pg_stat_activity using (pid)"
        " where locktype = 'advisory' and granted and objsubid = 1"
        " and database = (select oid from pg_database where datname = current_database())"
        " and classid::bigint = %s and objid::bigint = %s",
        [int(key) >> 32, int(key) & 0xFFFFFFFF],
    ).fetchall()
    return rows
