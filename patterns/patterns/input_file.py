"""The file that is cut into chunks: CSV with a header, plain or gzip, of any size, read row by row as bytes."""

import csv
import errno
import gzip
import hashlib
import io
import re
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from core.errors import TieoutError
from core.text import shown

# A longer row is no row: most likely a quote that never closes.
LONGEST_ROW = 1 << 20
LARGEST_CHUNK = 256 << 20
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_QUOTED = re.compile(rb'"(?:[^"]|"")*+"')
_LEFT = "no chunk was made of what follows that line; earlier chunks stay."


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
        size: bytes, as it lies on disk.
        sha256: of these bytes.
        rows: without the header and without blank lines.
        blank_lines: they are in no chunk.
    """

    size: int
    sha256: str
    rows: int
    blank_lines: int


@dataclass(frozen=True)
class Piece:
    """The rows of one chunk.

    Attributes:
        number: of the chunk, from 1.
        first_row: how many rows come before.
        rows: how many it has.
        data: the chunk's bytes: the header and these rows, each as the file has it, each with its line's end.
    """

    number: int
    first_row: int
    rows: int
    data: bytes


class InputFile:
    """A file of rows.

    Args:
        path: of a CSV file, which may be compressed by gzip.

    Raises:
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = self._stat()
        self._line, self._blank = 0, 0

    def survey(self) -> Contents:
        """Read the whole file once.

        Raises:
            TieoutError: it is empty, has a header only, or is no CSV in UTF-8 or another encoding that knows ASCII.
        """
        source = _Hashed(self.path)
        rows = sum(1 for _ in self._rows(source))
        if not rows:
            self._refuse(1, "it has a header and no row", "give the file with its rows")
        return Contents(source.size, source.sha256, rows, self._blank)

    def pieces(self, rows: int, contents: Contents) -> Iterator[Piece]:
        """Yield the chunks of the file, in order.

        Args:
            rows: of each chunk; the last one has what is left.
            contents: of `survey`.

        Raises:
            TieoutError: the file has changed since, or cannot be read further.
        """
        source = _Hashed(self.path)
        found, number, first, held = self._rows(source), 1, 0, list[bytes]()
        size = 0
        for row in found:
            held.append(row)
            size += len(row)
            if size > LARGEST_CHUNK:
                self._refuse(self._line, f"a chunk would have more than {LARGEST_CHUNK >> 20} MiB", "take fewer --rows")
            if len(held) == rows:
                yield Piece(number, first, rows, self._header + b"".join(held))
                number, first, held, size = number + 1, first + rows, [], 0
                self._require_unchanged()
        if held:
            yield Piece(number, first, len(held), self._header + b"".join(held))
        if source.sha256 != contents.sha256:
            self._has_changed()

    def _rows(self, source: "_Hashed") -> Iterator[bytes]:
        """Yield every row with its line's end; the header is kept aside."""
        self._line, self._blank, self._header = 0, 0, b""
        with source, _decompressed(source) as file:
            try:
                self._header = self._read_header(file)
                while row := self._record(file):
                    if row.strip():
                        yield row
                    else:
                        self._blank += 1
                source.read_rest()
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                self._refuse(self._line + 1, f"its compression is damaged or cut off: {error}", "fetch the file again")

    def _read_header(self, file: BinaryIO) -> bytes:
        header = self._record(file).removeprefix(_BOM)
        if not header.strip():
            self._refuse(1, "it is empty or begins with a blank line", "give a file that begins with a header")
        names = next(csv.reader([header.decode("utf-8", "replace")]))
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled or "" in names:
            what = f"two columns are called {shown(doubled[0])}" if doubled else "a column has no name"
            self._refuse(1, what, "mend the header")
        return header

    def _record(self, file: BinaryIO) -> bytes:
        """Return the next row: a line, or several where a double quote is open; nothing at the end of the file."""
        begun, row, is_open = self._line + 1, b"", False
        while line := file.readline(LONGEST_ROW + 1):
            self._line += 1
            if b"\0" in line:
                self._refuse(self._line, "it holds a NUL byte: UTF-16, or no text", "convert it to UTF-8")
            row += line
            if len(row) > LONGEST_ROW:
                break
            if b'"' in line:
                is_open = _is_open(row)
            if not is_open:
                return row if line.endswith(b"\n") else row + b"\n"
        if row:
            what = "a quote that opens there never closes" if is_open else f"it has more than {LONGEST_ROW} bytes"
            self._refuse(begun, what, "mend the row")
        return b""

    def _stat(self) -> tuple[int, int, int]:
        found = self.path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _require_unchanged(self) -> None:
        if self._stat() != self._state:
            self._has_changed()

    def _has_changed(self) -> NoReturn:
        raise TieoutError(
            f"{shown(self.path)} has changed while it was read.",
            "the chunks so far hold what it held before.",
            "put the file back as it was, or give the changed one with --to another folder",
        )

    def _refuse(self, line: int, what: str, then: str) -> NoReturn:
        raise TieoutError(f"{shown(self.path)}, line {line}: {what}.", _LEFT, f"{then}, then the same command again")


def _is_open(row: bytes) -> bool:
    """Say whether a row ends within quotes, which open only where a field begins."""
    place = 0
    while True:
        if row[place : place + 1] == b'"':
            quoted = _QUOTED.match(row, place)
            if quoted is None:
                return True
            place = quoted.end()
        place = row.find(b",", place) + 1
        if not place:
            return False


class _Hashed(io.RawIOBase):
    """A file opened for reading that hashes and counts what is read of it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(buffer) or 0
        self._hash.update(buffer[:count])
        self.size += count
        return count

    def read_rest(self) -> None:
        """Read to the end, what comes after the compressed part too."""
        while self.read(1 << 16):
            pass

    def close(self) -> None:
        self._file.close()
        super().close()


def _decompressed(source: _Hashed) -> BinaryIO:
    buffered = io.BufferedReader(source, 1 << 20)
    is_gzip = buffered.peek(2)[:2] == _GZIP
    return gzip.GzipFile(fileobj=buffered) if is_gzip else buffered  # type: ignore[return-value]
