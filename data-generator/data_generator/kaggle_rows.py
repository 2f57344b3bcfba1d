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


class _QuoteRunsOn(Exception):  # noqa: N818 (a signal between two classes here, not an error for people)
    pass


class _OneLineEach:
    """Feeds csv.reader one line a record.

    No field of this form holds a line break, so a quote that is still open at the line's end is damage; without this,
    csv.reader would swallow good rows up to the next quote.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.in_record = False
        self.line = 0
        self.text = ""

    def __iter__(self) -> "_OneLineEach":
        return self

    def __next__(self) -> str:
        if self.in_record:
            raise _QuoteRunsOn
        self.in_record = True
        self.text = next(self._stream)
        self.line += 1
        return self.text


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
    lines = None
    try:
        with _opened(path) as stream:
            lines = _OneLineEach(stream)
            yield from _rows(path.name, lines)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        at = lines.line if lines else 0
        raise KaggleFileError(
            f"{path} is cut off or damaged behind line {at}: {error}.",
            "nothing behind that line was read.",
            CHECK_AGAIN,
        ) from None
    except OSError as error:
        raise KaggleFileError(
            f"{path} cannot be read: {error.strerror or error}.",
            "nothing was sent.",
            "name another file with --kaggle FILE.",
        ) from None


def _rows(file: str, lines: _OneLineEach) -> Iterator[CardRow | BadRow]:
    reader = csv.reader(lines, strict=True)
    columns: Columns | None = None
    while True:
        lines.in_record = False
        try:
            values = next(reader)
            if not values:
                continue
            if columns is None:
                columns = Columns(file, values)
                continue
            yield columns.read(lines.line, lines.text, values)
        except StopIteration:
            break
        except _QuoteRunsOn:
            yield BadRow(file, lines.line, ((None, "a quote is opened and not closed"),))
        except csv.Error as error:
            yield BadRow(file, lines.line, ((None, str(error)),))
    if columns is None:
        Columns(file, [])
