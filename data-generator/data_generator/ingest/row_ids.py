"""Ids for the rows of a file without ids.

An id is the hash of the logical file's name, of the row's named columns, and of k, the number of rows before it in the
file that are equal in these columns. So equal rows of two files are two events, and a row that is put in renames only
the rows after it that equal it.
"""

import json
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from data_generator.ingest.sketch import Sketch

# So many different rows are counted in memory, about 150 MB; the counts of further ones go to a file.
IN_MEMORY: Final = 1_000_000


class RowIds:
    """Makes the ids of one pass over one file.

    Args:
        name: of the logical file.
        in_memory: how many different rows are counted in memory.

    Attributes:
        sketch: of the rows so far, whatever the file's name is.
    """

    def __init__(self, name: str, in_memory: int = IN_MEMORY) -> None:
        self._begin = blake2b(name.encode("utf-8", "surrogatepass") + b"\0", digest_size=16, person=b"tieout-row")
        self._most = in_memory
        self.sketch = Sketch()
        self._seen: dict[bytes, int] = {}
        self._spilled: sqlite3.Connection | None = None

    def make(self, values: Sequence[str | None]) -> str:
        """Return the id of the next row: 32 hexadecimal digits."""
        hashed = self._begin.copy()
        row = json.dumps(values, ensure_ascii=True).encode()
        self.sketch.add(row)
        hashed.update(row)
        equal = hashed.digest()
        before = self._count(equal)
        hashed.update(b"\0%d" % before)
        return hashed.hexdigest()

    def close(self) -> None:
        """Forget the rows."""
        if self._spilled is not None:
            self._spilled.close()
            self._spilled = None
        self._seen.clear()

    def _count(self, equal: bytes) -> int:
        before = self._seen.get(equal)
        if before is None and self._spilled is not None:
            row = self._spilled.execute("select n from seen where equal = ?", [equal]).fetchone()
            before = row[0] if row else None
        before = before or 0
        self._seen[equal] = before + 1
        if len(self._seen) > self._most:
            self._spill()
        return before

    def _spill(self) -> None:
        if self._spilled is None:
            folder = tempfile.mkdtemp(prefix="tieout-rows-")
            file = Path(folder, "seen")
            self._spilled = sqlite3.connect(file, isolation_level=None)
            self._spilled.execute("pragma journal_mode = off")
            self._spilled.execute("pragma synchronous = off")
            self._spilled.execute("create table seen (equal blob primary key, n integer not null) without rowid")
            with suppress(OSError):  # the open file stays until it is closed, also after kill -9
                file.unlink()
                file.parent.rmdir()
        self._spilled.execute("begin")
        rows = sorted(self._seen.items())
        self._spilled.executemany("insert or replace into seen values (?, ?)", rows)
        self._spilled.execute("commit")
        self._seen.clear()
