"""What the gateway says of each payment: a small book on disk, so that feeds add up and a re-run doubles nothing."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson

from core.files import give_to_owner
from core.locks import exclusive
from data_generator.events import Line

BOOK: Final = ".gateway-statements.sqlite"
LOCK: Final = ".gateway-statements.lock"
# A second gateway commits within milliseconds, but a statement of a long day is read for seconds.
_WAIT_SECONDS: Final = 60

# A row holds the lines of one day that were put together: a row for each line took five times as long to write.
_SCHEMA: Final = """
create table if not exists batches (day text not null, lines text not null);
create index if not exists batches_day on batches (day);
create table if not exists unwritten (day text primary key, stamp integer not null) without rowid;
"""
_HAS_ROWS: Final = "select count(*) from sqlite_schema where name = 'lines'"
# As books were before: a row for each line.
_CONVERT: Final = """
begin immediate;
insert into batches
select day, json_group_array(units || ',' || currency || ',' || status || '|' || transaction_id)
from (select * from lines order by rowid)
group by day;
drop table lines;
commit;
"""

_PUT: Final = "insert into batches values (?, ?)"
_STALE: Final = "insert into unwritten values (?, 1) on conflict (day) do update set stamp = stamp + 1"

# Of a payment that was said more than once the first final status stands, else the first word: the warehouse's rules,
# too. With max() the other columns are those of the row that has it.
_DAY: Final = """
select substr(line, bar + 1) as transaction_id, substr(line, 1, bar - 1),
       max((substr(line, bar - 7, 7) <> 'PENDING') * 1152921504606846976 - place)
from (
    select each.value as line, instr(each.value, '|') as bar, (batches.rowid << 24) + each.key as place
    from batches, json_each(batches.lines) as each where batches.day = ?
)
group by transaction_id order by transaction_id
"""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other gateway of this folder is within; let none in."""
    (folder / LOCK).touch()
    give_to_owner(folder / LOCK, folder)  # the platform's own gateway must go on with what root made
    with exclusive(folder / LOCK):
        yield


class StatementBook:
    """All payments of all feeds of one home, by day.

    Args:
        folder: where the book and the statements are.

    Raises:
        OSError: the folder cannot be made.
        sqlite3.Error: the book cannot be opened or written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / BOOK
        with alone(folder):  # SQLite does not wait where two change the journal's mode at once
            if not path.exists():
                path.touch(mode=0o600)
                give_to_owner(path, folder)
            self._db = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
            # A killed gateway loses nothing that was committed; only a power cut can, and never half a line.
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            self._db.execute("pragma cache_size = -32000")
            self._db.executescript(_SCHEMA)
            if self._db.execute(_HAS_ROWS).fetchone()[0]:
                self._db.executescript(_CONVERT)

    def put(self, lines: Collection[Line]) -> Collection[str]:
        """Write lines in one transaction; return their days, whose statements are no longer up to date."""
        days: dict[str, list[str]] = {}
        for day, transaction_id, units, currency, status in lines:
            days.setdefault(day, []).append(f"{units},{currency},{status}|{transaction_id}")
        self._db.execute("begin immediate")
        try:
            self._db.executemany(_PUT, [(day, orjson.dumps(put).decode()) for day, put in days.items()])
            self._db.executemany(_STALE, [(day,) for day in days])
            self._db.execute("commit")
        except BaseException:
            self._db.execute("rollback")
            raise
        return days.keys()

    def day(self, day: str) -> Iterator[tuple[str, int, str, str]]:
        """Yield (transaction id, units, currency, status) of a day, each payment once, by id."""
        for transaction_id, rest, _ in self._db.execute(_DAY, (day,)):
            units, currency, status = rest.split(",")
            yield transaction_id, int(units), currency, status

    def unwritten(self) -> list[tuple[str, int]]:
        """Return the days whose statements lack lines, whoever put them, each with its stamp."""
        return list(self._db.execute("select day, stamp from unwritten order by day"))

    def note_written(self, day: str, stamp: int) -> None:
        """Note that a day's statement has all that was put up to a stamp; what came meanwhile waits for the next."""
        self._db.execute("delete from unwritten where day = ? and stamp = ?", (day, stamp))

    def close(self) -> None:
        """Close the book."""
        self._db.close()
