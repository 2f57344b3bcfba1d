"""Files of card transactions of the Kaggle form, streamed row by row."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from data_generator.card_row import CHECK_AGAIN, BadRow, CardRow, Columns
from data_generator.errors import KaggleFileError

_QUOTES = {"unexpected end of data": "a quote is opened and not closed"}


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Open csv or csv.gz, told apart by the first bytes. Undecodable bytes stay visible for the row's own check."""
    with path.open("rb") as probe:
        packed = probe.read(2) == b"\x1f\x8b"
    opener = gzip.open if packed else open
    with opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        yield cast(TextIO, stream)


def read_rows(path: Path) -> Iterator[CardRow | BadRow]:
    """Stream a file of the fraudTrain.csv form: each row read exactly, or what is wrong with it.

    Args:
        path: csv or csv.gz; LF or CRLF; with or without the unnamed first column.

    Raises:
        KaggleFileError: the file is not there, not of this form, or cut off.
    """
    columns: Columns | None = None
    line = 0
    try:
        with _opened(path) as stream:
            for line, text in enumerate(stream, 1):
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
                    yield columns.read(line, text, values)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise KaggleFileError(
            f"{path} is cut off or damaged behind line {line}: {error}.",
            "nothing behind that line was read.",
            CHECK_AGAIN,
        ) from None
    except OSError as error:
        raise KaggleFileError(
            f"{path} cannot be read: {error.strerror or error}.",
            "nothing was sent.",
            "name another file with --kaggle FILE.",
        ) from None
    if columns is None:
        Columns(path.name, [])


def _values(text: str) -> list[str]:
    """Return one line's values. Lines are read one by one: no field of this form holds a line break.

    A quote that is still open at the line's end is damage, which must not swallow the good rows up to the next quote.
    """
    if '"' not in text:
        return text.rstrip("\r\n").split(",")
    return next(csv.reader((text,), strict=True))
