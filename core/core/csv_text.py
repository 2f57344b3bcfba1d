"""CSV that people open in a spreadsheet: a text never becomes a formula where commas separate the cells.

A program that separates by semicolons, as spreadsheets of some countries do, may still split a text at one.
"""

import csv
import re
from collections.abc import Iterable
from typing import Any, Protocol

# What a spreadsheet takes for a formula. Leading apostrophes are matched too, so that `unguarded` removes exactly the
# added one.
_FORMULA = re.compile(r"'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")


class _Writable(Protocol):
    def write(self, text: str, /) -> Any: ...


def guarded(value: object) -> object:
    """Return a cell as it is safe in a spreadsheet: an apostrophe before a text that would be a formula.

    A number stays a number, also a negative one. `unguarded` takes the apostrophe away again.
    """
    if not isinstance(value, str) or not _FORMULA.match(value) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def unguarded(text: str) -> str:
    """Return the text that `guarded` made this of."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


class CsvWriter:
    """Writes rows as CSV with the standard library's quoting, each text guarded.

    Args:
        out: where to; opened with `newline=""` where it is a file.
    """

    def __init__(self, out: _Writable) -> None:
        self._rows = csv.writer(out, lineterminator="\n")
        # Python 3.11's writer does not quote a carriage return that is not part of its own line end.
        self._quoted = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def writerow(self, row: Iterable[object]) -> None:
        """Write one row."""
        cells = [guarded(value) for value in row]
        has_return = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (self._quoted if has_return else self._rows).writerow(cells)

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        """Write rows."""
        for row in rows:
            self.writerow(row)
