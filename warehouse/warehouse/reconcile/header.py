"""The header of a statement: which of its columns are ours."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from core.text import shown, shown_list
from warehouse.reconcile.dialect import DELIMITERS, Dialect, folded
from warehouse.reconcile.errors import StatementFileError

_LONGEST_LINE = 1_000_000
# What all lines of a file may have in common.
_CONSTANTS = frozenset({"currency", "status", "date"})
# A column's name may have line breaks; a quote that is never closed must not swallow the file.
_MOST_LINES = 20
_MOST_CHARACTERS = 10_000
# How far below the first line a header is looked for, only to name its place.
_LOOKED_THROUGH = 100
_SHOWN = 300
_MEND = "mend the file, or ask its sender for another"


@dataclass(frozen=True)
class Header:
    """A header.

    Attributes:
        path: the file's.
        line: where it begins.
        cells: its columns' names as they are written.
        delimiter: between them.
        places: where each of our columns is.
    """

    path: Path
    line: int
    cells: Sequence[str]
    delimiter: str
    places: Mapping[str, int]

    def fit(self, row: list[str]) -> bool:
        """Bring a row to the header's width, if what it has too much or too little is empty; say whether it is so."""
        width = len(self.cells)
        while len(row) > width and not row[-1].strip():
            row.pop()
        while len(row) < width and not self.cells[len(row)].strip():
            row.append("")
        return len(row) == width

    def place(self, name: str) -> int:
        """Return where a column is.

        Raises:
            StatementFileError: nowhere, or in two places.
        """
        names = [folded(cell) for cell in self.cells]
        count = names.count(name)
        if count == 0:
            problem = f"the header has no column {shown_name(name)}; it has {_listed(self.cells)}"
            raise StatementFileError(self.path, problem, "--where COLUMN=VALUE with one of them", self.line)
        if count > 1:
            problem = f"the header has {shown_name(name)} more than once"
            raise StatementFileError(self.path, problem, _MEND, self.line, shown_name(name))
        return names.index(name)


def find_header(path: Path, dialect: Dialect, text: io.TextIOBase) -> tuple[Header, int]:
    """Read up to the end of the header; return it and how many lines that were.

    Raises:
        StatementFileError: there is none, or it lacks columns.
    """
    read = 0
    while read < dialect.skip_lines and text.readline(_LONGEST_LINE):
        read += 1
    if read < dialect.skip_lines:
        raise StatementFileError(
            path, f"has {read} lines, --skip-lines leaves out {dialect.skip_lines}", "--skip-lines N with a smaller N"
        )
    line = ""
    while not line.strip():
        line = text.readline(_LONGEST_LINE)
        read += 1
        if not line:
            raise StatementFileError(path, "holds no header line", "name another file", read)
    began, lines = read, [line]
    found = _match(lines, dialect)
    while found is None and _goes_on(lines, dialect) and (line := text.readline(_LONGEST_LINE)):
        lines.append(line)
        found = _match(lines, dialect)
    read += len(lines) - 1
    if found is None:
        raise StatementFileError(path, *_missing(dialect, lines, text, began), began)
    cells, delimiter = found
    header = Header(path, began, cells, delimiter, {})
    places = {ours: header.place(folded(theirs)) for ours, theirs in dialect.columns.items()}
    return Header(path, began, cells, delimiter, places), read


def _match(lines: Sequence[str], dialect: Dialect) -> tuple[list[str], str] | None:
    wanted = {folded(name) for name in dialect.columns.values()}
    return next(((cells, sign) for cells, sign, _ in _ways(lines, dialect) if wanted <= set(map(folded, cells))), None)


def _goes_on(lines: Sequence[str], dialect: Dialect) -> bool:
    """Say whether the header may go on in the next line: a quote at a cell's begin is still open."""
    if len(lines) >= _MOST_LINES or sum(map(len, lines)) >= _MOST_CHARACTERS:
        return False
    return any(is_open for _, _, is_open in _ways(lines, dialect))


def _ways(lines: Sequence[str], dialect: Dialect) -> Iterator[tuple[list[str], str, bool]]:
    """Yield the cells by each delimiter, and whether a quote is open at the end."""
    for sign in [dialect.delimiter] if dialect.delimiter else DELIMITERS.values():
        reader = csv.reader(chain(lines, [""]), delimiter=sign)
        cells = next(reader, [])
        yield cells, sign, reader.line_num > len(lines)


# How Excel's, zip, PDF and old Office files begin, read as text.
_OTHER_KINDS = ("PK\x03\x04", "%PDF", "\udcd0\udccf\x11\udce0", "\x1f\udc8b")


def _missing(dialect: Dialect, lines: Sequence[str], text: io.TextIOBase, began: int) -> tuple[str, str]:
    """Return what is missing, and what to do about it."""
    cells = max((cells for cells, _, _ in _ways(lines, dialect)), key=len)
    names = {folded(cell) for cell in cells}
    missing = [name for name in dialect.columns.values() if folded(name) not in names]
    ours = next((ours for ours, theirs in dialect.columns.items() if theirs in missing), "amount")
    record = "".join(lines)
    if record.startswith(_OTHER_KINDS):
        then = "save it as CSV; it is a workbook, an archive or a document"
    elif "\0" in record:
        then = f"--encoding utf-16-{'be' if record.startswith(chr(0)) else 'le'} where it is UTF-16 without a mark"
    elif any("\ud800" <= char <= "\udfff" for char in record):
        then = "--encoding, such as cp1252, where the file is not UTF-8"
    elif place := _header_below(dialect, chain(lines[1:], iter(lambda: text.readline(_LONGEST_LINE), "")), began):
        then = f"--skip-lines {place}, behind which the header stands"
    elif ours in _CONSTANTS:
        then = f"--map {ours}=NAME names the file's column, --map {ours}==VALUE says what all its lines have"
    elif ours == "amount":
        then = "--map amount=NAME names the file's column, --map credit=NAME,debit=NAME two of them"
    else:
        then = f"--map {ours}=NAME names the file's column"
    problem = f"the header has no column {shown_list(missing)}; it has '{_listed(cells)}'"
    return problem, then


def _header_below(dialect: Dialect, lines: Iterator[str], before: int) -> int | None:
    found = (
        place
        for place, line in enumerate(islice(lines, _LOOKED_THROUGH), before)
        if line.strip() and _match([line], dialect)
    )
    return next(found, None)


def _listed(cells: Sequence[str]) -> str:
    said = ", ".join(map(shown_name, cells))
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}..."


def shown_name(name: str) -> str:
    """Return a column's name for a message."""
    return shown(" ".join(name.split()))
