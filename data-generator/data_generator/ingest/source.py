"""A file on disk and the bytes in it, unpacked where it is packed."""

import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from core.text import shown, shown_list
from data_generator.ingest.errors import SourceError

# An `io.BufferedReader`: bytes that can be looked at before they are taken. Its type tells what is below it.
Bytes = Any
GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"

_AGAIN = "fetch the file again from whoever sent it"


@dataclass(frozen=True)
class Source:
    """A file to ingest.

    Attributes:
        path: where it is.
        name: what it is called in the books.
        member: the file inside a zip; None: the only one.
        id_name: of the file of which this one is another export: ids are made with that name.
    """

    path: Path
    name: str
    member: str | None = None
    id_name: str | None = None

    def sha256(self) -> str:
        """Return the hash of the file as it lies there.

        Raises:
            SourceError: it cannot be read.
        """
        with self._file() as file:
            return file_digest(file, "sha256").hexdigest()

    def size(self) -> int:
        """Return the file's size in bytes."""
        with self._file() as file:
            return os.fstat(file.fileno()).st_size

    @contextmanager
    def open(self) -> Iterator[Bytes]:
        """Open the unpacked bytes. What goes wrong while they are read is a SourceError too.

        Raises:
            SourceError: it cannot be read, or its packing is damaged.
        """
        with self._file() as file:
            begin = file.read(4)
            file.seek(0)
            try:
                if begin.startswith(GZIP):
                    with io.BufferedReader(gzip.GzipFile(fileobj=file), 1 << 18) as unpacked:
                        yield unpacked
                elif begin == ZIP:
                    with zipfile.ZipFile(file) as archive, archive.open(self._member(archive)) as member:
                        yield io.BufferedReader(member, 1 << 18)
                else:
                    yield file
            # An encrypted archive is a RuntimeError, an unknown packing a NotImplementedError.
            except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
                raise SourceError(self.name, f"its packing is damaged or cut off ({error})", _AGAIN) from None
            except (RuntimeError, NotImplementedError) as error:
                raise SourceError(
                    self.name, f"it cannot be unpacked ({error})", "unpack it yourself and ingest what is in it"
                ) from None
            except OSError as error:
                raise SourceError(self.name, error.strerror or str(error), _AGAIN) from None

    @contextmanager
    def _file(self) -> Iterator[Bytes]:
        if "\0" in str(self.path):
            raise SourceError(self.name, "a file's name cannot hold the character 0", "name a file")
        try:
            if self.path.exists() and not self.path.is_file():
                raise SourceError(self.name, "it is no regular file, and it is read more than once", "name a file")
            file = self.path.open("rb", buffering=1 << 18)
        except OSError as error:
            raise SourceError(
                self.name, error.strerror or str(error), "name a file that is there and can be read"
            ) from None
        with file:
            yield file

    def _member(self, archive: zipfile.ZipFile) -> str:
        names = [each.filename for each in archive.infolist() if not each.is_dir() and not _added(each.filename)]
        if self.member is not None:
            if self.member not in names:
                raise SourceError(self.name, f"there is no {shown(self.member)} in it, but {shown_list(names[:10])}",
                                  "name one of them as `member:` in the mapping")  # fmt: skip
            return self.member
        if len(names) != 1:
            raise SourceError(
                self.name,
                f"it holds {len(names)} files: {shown_list(names[:10])}" if names else "there is no file in it",
                "name one of them as `member:` in the mapping" if names else _AGAIN,
            )
        return names[0]


def _added(name: str) -> bool:
    """Say whether a file of an archive was added by the tool that packed it."""
    return name.startswith("__MACOSX/") or name.endswith(".DS_Store")
