"""Files that are whole or not there: written beside their place, and put there in one step."""

import errno
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident
from typing import BinaryIO

_PARTIAL = re.compile(r"\.([0-9]{1,9})-[0-9]+\.partial")
# A process of another container has a number of its own: what it has just begun to write is not taken for a dead one's.
LEFT_AFTER_SECONDS = 60


@contextmanager
def replacing(path: Path, *, mode: int = 0o644, owner: tuple[int, int] | None = None) -> Iterator[Path]:
    """Yield an empty file beside `path` that takes its place when the block ends well.

    Nobody sees a half-written file, and from its first moment the file has no wider rights than `mode`. Two
    processes that write the same file do not disturb each other: the later one stays. Partial files of dead processes
    are removed.

    Args:
        path: the file.
        mode: its rights.
        owner: user and group id that the file is given to; only root can give files away, others keep them.

    Raises:
        OSError: it cannot be written; what was there before is unchanged.
    """
    with _partial(path, mode, owner) as (partial, file):
        file.close()
        yield partial


def write_file(
    path: Path, content: str | bytes, *, mode: int = 0o644, owner: tuple[int, int] | None = None, sync: bool = False
) -> None:
    """Write a whole file in one step; also in a folder whose owner exchanges files, only the new file is written to.

    Args:
        path: the file.
        content: text is written as UTF-8.
        mode: its rights.
        owner: as of `replacing`.
        sync: return only when the disk has content and name.

    Raises:
        OSError: it cannot be written; what was there before is unchanged.
    """
    data = content.encode() if isinstance(content, str) else content
    with _partial(path, mode, owner) as (_, file):
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    if sync:
        sync_folder(path.parent)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, whole, and return when the disk has content and name.

    Raises:
        FileExistsError: it is there, and stays as it is.
        OSError: it cannot be written; it is not there.
    """
    _remove_leftovers(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.partial")
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(partial)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def _partial(path: Path, mode: int, owner: tuple[int, int] | None) -> Iterator[tuple[Path, BinaryIO]]:
    """Yield a new file's path and the file itself, open for writing; it takes its place when the block ends well."""
    if not path.name or (path.exists() and not path.is_file()):  # a folder, or a device that would be lost
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    _remove_leftovers(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            if owner is not None and os.geteuid() == 0:
                os.fchown(descriptor, *owner)
            yield partial, file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Return when the disk has the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def owner_of(path: Path) -> tuple[int, int]:
    """Return user and group id of a file or folder."""
    found = path.stat()
    return found.st_uid, found.st_gid


def give_to_owner(path: Path, folder: Path) -> None:
    """Give what root made to whom a folder belongs; others keep it.

    Raises:
        OSError: one of them is not there.
    """
    if os.geteuid() == 0:
        os.chown(path, *owner_of(folder))


def _remove_leftovers(path: Path) -> None:
    prefix = f".{path.name}"
    with suppress(OSError):
        for each in path.parent.iterdir():
            match = _PARTIAL.fullmatch(each.name.removeprefix(prefix)) if each.name.startswith(prefix) else None
            if match and _is_dead(int(match[1])) and time.time() - each.lstat().st_mtime > LEFT_AFTER_SECONDS:
                each.unlink(missing_ok=True)


def _is_dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it lives, as another account
        return False
    return False
