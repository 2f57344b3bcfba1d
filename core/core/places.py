"""Where files of the lake are: here a folder of this machine; `core.bucket` is one of an S3 store.

Names are relative to the place, with slashes. A file is written once, by one who chose a name that nobody else chooses,
and never changed.
"""

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from typing_extensions import override

from core.files import sync_folder, write_new


@dataclass(frozen=True)
class Entry:
    """A file of a place as its listing has it.

    Attributes:
        name: in the folder that was listed.
        size: bytes.
        version: another text once the file was replaced.
    """

    name: str
    size: int
    version: str


class Place(ABC):
    """Files below one address. Every method raises what `answering` says."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The address as people, delta-rs and Spark read it; no key is in it."""

    @property
    @abstractmethod
    def storage_options(self) -> dict[str, str]:
        """What delta-rs needs beside the address, keys among it."""

    @abstractmethod
    def folder(self, name: str) -> Path | None:
        """Return the folder of this machine with the files below a name; None where no folder has them."""

    @abstractmethod
    def names(self, folder: str, after: str = "") -> list[str]:
        """Return the names of what is directly in a folder and comes after a name, in order."""

    @abstractmethod
    def sizes(self, folder: str) -> dict[str, int]:
        """Return the bytes of every file below a folder, by its name in the folder."""

    @abstractmethod
    def entries(self, folder: str, after: str = "") -> list[Entry]:
        """Return the files that are directly in a folder and whose names come after a name, in order."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Return the bytes of a file; None where it is not there."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return what is in a file.

        Raises:
            FileNotFoundError: it is not there.
        """

    @abstractmethod
    def create(self, name: str, data: bytes) -> None:
        """Write a new file whole; the disk, or the store, has it when this returns.

        Raises:
            FileExistsError: it is there already, and stays.
        """

    @abstractmethod
    def open_input(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a file for reading, at any position.

        Raises:
            FileNotFoundError: it is not there.
        """

    @abstractmethod
    def open_output(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a new file for writing. When the block ends well, the disk or the store has it; else it is not there."""

    @abstractmethod
    def fetch(self, name: str, folder: Path) -> Path:
        """Return a file of this machine with the same content: the file itself, or a copy in the folder.

        Raises:
            FileNotFoundError: it is not there.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, or every file below a folder."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""

    @abstractmethod
    def answering(self) -> AbstractContextManager[None]:
        """Turn errors of the place, also those of delta-rs, into ones that name the next command.

        Raises:
            OutageError: the store is away or too slow.
            TieoutError: its bucket is not there, or it refuses the keys.
        """


@dataclass(frozen=True)
class LocalPlace(Place):
    """A folder of this machine, and what is below it. Its errors are those of the file system."""

    root: Path

    @property
    @override
    def url(self) -> str:
        return str(self.root)

    @property
    @override
    def storage_options(self) -> dict[str, str]:
        return {}

    @override
    def folder(self, name: str) -> Path:
        return self.root / name

    @override
    def names(self, folder: str, after: str = "") -> list[str]:
        path = self.root / folder
        return sorted(entry.name for entry in os.scandir(path) if entry.name > after) if path.is_dir() else []

    @override
    def sizes(self, folder: str) -> dict[str, int]:
        path = self.root / folder
        return {
            each.relative_to(path).as_posix(): each.stat().st_size for each in sorted(path.rglob("*")) if each.is_file()
        }

    @override
    def entries(self, folder: str, after: str = "") -> list[Entry]:
        path, found = self.root / folder, []
        for each in sorted(os.scandir(path), key=lambda each: each.name) if path.is_dir() else ():
            # What `core.files` has not finished yet begins with a dot.
            if each.name > after and not each.name.startswith(".") and each.is_file():
                stat = each.stat()
                found.append(Entry(each.name, stat.st_size, f"{stat.st_ino}-{stat.st_mtime_ns}"))
        return found

    @override
    def size(self, name: str) -> int | None:
        path = self.root / name
        return path.stat().st_size if path.is_file() else None

    @override
    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    @override
    def create(self, name: str, data: bytes) -> None:
        write_new(self._in_its_folder(name), data)

    @override
    @contextmanager
    def open_input(self, name: str) -> Iterator[BinaryIO]:
        with (self.root / name).open("rb") as file:
            yield file

    @override
    @contextmanager
    def open_output(self, name: str) -> Iterator[BinaryIO]:
        path = self._in_its_folder(name)
        with path.open("xb") as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        sync_folder(path.parent)

    @override
    def fetch(self, name: str, folder: Path) -> Path:
        return self.root / name

    @override
    def remove(self, name: str) -> None:
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    @override
    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    @override
    def answering(self) -> AbstractContextManager[None]:
        return nullcontext()

    def _in_its_folder(self, name: str) -> Path:
        """Return a file's path; folders that are made have their names on disk."""
        path = self.root / name
        new = [each for each in path.parents if not each.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        for each in new:
            sync_folder(each.parent)
        return path
