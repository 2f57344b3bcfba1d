"""The gateway's own statement: a file a business day, with every sound payment and its latest status.

A payment is in it from the moment that its event is under way: what is saved as undelivered is in it too, so that
reconciling shows it as missing until it is sent. Events broken on purpose, and copies, are not.
"""

import csv
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from contracts.statement import FOOTER_WORD
from core.errors import TieoutError
from core.files import owner_of, replacing
from core.text import shown
from data_generator.events import Event, Line
from data_generator.money import amount_text
from data_generator.statement_book import StatementBook, alone

COLUMNS: Final = ("transaction_id", "amount", "currency", "status", "date")

_BATCH: Final = 2_000
_FLUSH_SECONDS: Final = 0.1
# Files follow an endless feed at this distance, or further where writing them would cost more than a fiftieth.
_FILES_EVERY: Final = 60.0
_SHARE_OF_TIME: Final = 50


class StatementError(TieoutError):
    """The statement cannot be written."""

    def __init__(self, folder: Path, reason: str, sent: str = "events are sent without it") -> None:
        super().__init__(
            f"the gateway's statement in {shown(folder)} cannot be written: {shown(reason)}",
            f"{sent}; the statements there are as they were.",
            "make room or rights there; the same feed again (--seed, --start) completes it and doubles nothing",
        )


class Statement:
    """Takes a feed's events and keeps the statements of the days that they touch.

    Args:
        folder: where statements are.
        minor_digits: of each currency.
        say: told once when the statement cannot be written.
        clock: seconds that only grow.

    Attributes:
        days: those of this feed's payments; their statements are up to date at its end.
        error: why the statement is not complete, if it is not. Sending goes on without it.

    Raises:
        StatementError: it cannot even be begun.
    """

    def __init__(
        self,
        folder: Path,
        minor_digits: Mapping[str, int],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self._digits = minor_digits
        self._say = say
        self._clock = clock
        self._held: list[Line] = []
        self._flushed = self._written = clock()
        self._cost = 0.0
        self.days: set[str] = set()
        self.error: StatementError | None = None
        try:
            self._book = StatementBook(folder)
        except (OSError, sqlite3.Error) as error:
            raise StatementError(folder, str(error), "nothing was sent") from None

    def note(self, event: Event) -> None:
        """Take an event that is under way; one that was broken or repeated on purpose is not a payment of its own."""
        if event.line is None:
            return
        self._held.append(event.line)
        now = self._clock()
        if now - self._flushed >= _FLUSH_SECONDS or len(self._held) >= _BATCH:
            self._attempt(self._flush)
            if now - self._written >= max(_FILES_EVERY, self._cost * _SHARE_OF_TIME):
                self._attempt(self._write_files)

    def close(self) -> None:
        """Write what is held and the files of all days that changed."""
        self._attempt(self._flush)
        self._attempt(self._write_files)
        self._book.close()

    def _attempt(self, step: Callable[[], None]) -> None:
        if self.error is not None:
            self._held.clear()
            return
        try:
            step()
        except (OSError, sqlite3.Error) as error:
            self.error = StatementError(self.folder, str(error))
            self._say(self.error.what)

    def _flush(self) -> None:
        self.days.update(self._book.put(self._held))
        self._held.clear()
        self._flushed = self._clock()

    def _write_files(self) -> None:
        begun = self._clock()
        # Read under the lock: of two gateways that write the same day, the later one has also what the other put.
        with alone(self.folder):
            # Those of a gateway that was killed are among them.
            for day, stamp in self._book.unwritten():
                write_statement(self._book, day, self.folder, self._digits)
                self._book.note_written(day, stamp)
        self._written = self._clock()
        self._cost = self._written - begun


def statement_path(folder: Path, day: str) -> Path:
    """Return where the statement of a day is."""
    return folder / f"gateway-{day}.csv"


def write_statement(book: StatementBook, day: str, folder: Path, minor_digits: Mapping[str, int]) -> Path:
    """Write a day's statement as CSV, whole or not at all, readable by the owner only (mode 600).

    Columns transaction_id, amount (major units), currency, status, date. The last lines are its footer: `TOTAL` as
    transaction_id, a currency's sum as amount and its count as status; then one without currency that counts all.

    Raises:
        OSError: it cannot be written; what was there before is unchanged.
    """
    path = statement_path(folder, day)
    counts: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    with (
        replacing(path, mode=0o600, owner=owner_of(folder)) as partial,
        partial.open("w", encoding="utf-8", newline="") as out,
    ):
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(COLUMNS)
        for transaction_id, units, currency, status in book.day(day):
            counts[currency] += 1
            sums[currency] += units
            rows.writerow((transaction_id, amount_text(units, minor_digits[currency]), currency, status, day))
        for currency in sorted(counts):
            amount = amount_text(sums[currency], minor_digits[currency])
            rows.writerow((FOOTER_WORD, amount, currency, counts[currency], day))
        rows.writerow((FOOTER_WORD, "", "", counts.total(), day))
        out.flush()
        os.fsync(out.fileno())
    return path
