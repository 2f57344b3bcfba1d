"""Files of card transactions of the Kaggle form, streamed row by row."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.text import shown
from data_generator.card_row import CHECK_AGAIN, BadRow, CardRow, Columns
from data_generator.errors import KaggleFileError
from data_generator.row_check import is_plain, problems

_QUOTES = {"unexpected end of data": "a quote is opened and not closed"}
# More than any row of this form has; a file without line ends is not read into memory whole.
LONGEST_LINE = 1 << 21


@contextmanager
def _opened(path: Path) -> Iterator[io.TextIOWrapper]:
    """Open csv or csv.gz, told apart by the first bytes. Undecodable bytes stay visible for the row's own check."""
    if "\0" in str(path):
        raise OSError(None, "a file's name cannot hold the character 0")
    if path.exists() and not path.is_file():
        raise OSError(None, "it is no regular file, and it is read more than once")
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw as buffered:
            yield io.TextIOWrapper(buffered, "utf-8-sig", "surrogateescape", newline="")


def read_rows(path: Path) -> Iterator[CardRow | BadRow]:
    """Stream a file of the fraudTrain.csv form: each row read exactly, or what is wrong with it.

    A row that would become a malformed event is wrong too.

    Args:
        path: csv or csv.gz; LF or CRLF; with or without the unnamed first column.

    Raises:
        KaggleFileError: the file is not there, not of this form, or cut off.
    """
    columns: Columns | None = None
    line = 0
    try:
        with _opened(path) as stream:
            for line, text in enumerate(_lines(path, stream), 1):
                try:
                    values = _values(text)
                except csv.Error as error:
                    yield BadRow(path.name, line, ((None, _QUOTES.get(str(error), str(error))),))
                    continue
                if values == [""]:
                    continue
                if columns is None:
                    columns = Columns(path.name, values)
                else:
                    yield _checked(path, text, columns.read(line, text, values))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise KaggleFileError(
            f"{shown(path)} is cut off or damaged behind line {line}: {error}.",
            "nothing behind that line was read.",
            CHECK_AGAIN,
        ) from None
    except OSError as error:
        raise KaggleFileError(
            f"{shown(path)} cannot be read: {error.strerror or error}.",
            "nothing was sent.",
            "name another file with --kaggle FILE.",
        ) from None
    if columns is None:
        Columns(path.name, [])


def _lines(path: Path, stream: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines without their ends."""
    line = 0
    while text := stream.readline(LONGEST_LINE):
        line += 1
        if len(text) == LONGEST_LINE:
            raise KaggleFileError(
                f"{shown(path)} line {line} has {LONGEST_LINE:,} characters or more: it is no row of this form.",
                "nothing behind that line was read.",
                CHECK_AGAIN,
            )
        yield text.rstrip("\r\n")


def _checked(path: Path, text: str, row: CardRow | BadRow) -> CardRow | BadRow:
    if isinstance(row, BadRow) or is_plain(text, row):
        return row
    wrong = problems(row)
    return BadRow(path.name, row.line, wrong) if wrong else row


def _values(text: str) -> list[str]:
    """Return one line's values. Lines are read one by one: no field of this form holds a line break.

    A quote that is still open at the line's end is damage, which must not swallow the good rows up to the next quote.
    """
    if '"' not in text:
        return text.split(",")
    return next(csv.reader((text,), strict=True))
