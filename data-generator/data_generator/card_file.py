"""A file of card transactions that is checked whole before the first row of it is sent."""

from collections.abc import Callable, Iterator
from pathlib import Path

from core.text import shown
from data_generator.card_row import CHECK_AGAIN, BadRow, CardRow
from data_generator.errors import KaggleFileError
from data_generator.kaggle_rows import read_rows

SHOWN = 5
# A file of so many rows is read once and kept (20 MiB for the bundled sample of 33,433): a feed that loops over it
# spent a third of its processor time on reading it again.
KEPT_ROWS = 50_000


class CardFile:
    """Rows of one file, as often as wanted.

    Args:
        max_bad_rows: so many rows that cannot be read are skipped; one more stops.
        say: told of the first few bad rows, once.

    Attributes:
        good, bad: rows of the file, known after `check`.
    """

    def __init__(self, path: Path, max_bad_rows: int, say: Callable[[str], None]) -> None:
        self.path = path
        self._max_bad_rows = max_bad_rows
        self._say = say
        self.good = 0
        self.bad = 0
        self._kept: list[CardRow] | None = None

    def check(self) -> None:
        """Read the whole file once, so that a damaged one is refused before anything is sent.

        Raises:
            KaggleFileError: it cannot be read, or has more bad rows than allowed.
        """
        self.good = self.bad = 0
        first: list[BadRow] = []
        kept: list[CardRow] = []
        for row in read_rows(self.path):
            if isinstance(row, CardRow):
                self.good += 1
                if self.good <= KEPT_ROWS:
                    kept.append(row)
                continue
            self.bad += 1
            if len(first) < SHOWN:
                first.append(row)
        self._kept = kept if self.good <= KEPT_ROWS else None
        for bad_row in first if self.bad <= self._max_bad_rows else first[1:]:
            self._say(f"{'skipped: ' if self.bad <= self._max_bad_rows else ''}{bad_row}")
        if self.bad > self._max_bad_rows:
            raise KaggleFileError(
                f"{first[0]} ({self.bad} of {self.good + self.bad} rows cannot be sent, --max-bad-rows is "
                f"{self._max_bad_rows}).",
                "nothing was sent.",
                f"{CHECK_AGAIN} --max-bad-rows {self.bad} skips them.",
            )

    def rows(self) -> Iterator[CardRow]:
        """Stream the rows that can be read.

        Raises:
            KaggleFileError: the file is no longer what was checked.
        """
        if self._kept is not None:
            yield from self._kept
            return
        good = bad = 0
        for row in read_rows(self.path):
            if isinstance(row, CardRow):
                good += 1
                yield row
                continue
            bad += 1
            if bad > self.bad:
                raise self._changed(f"{row}; ")
        if (good, bad) != (self.good, self.bad):
            raise self._changed(f"{good} of {self.good} rows can be read; ")

    def _changed(self, found: str) -> KaggleFileError:
        return KaggleFileError(
            f"{found}{shown(self.path)} has changed since it was checked.", "rows before it were sent.", CHECK_AGAIN
        )
