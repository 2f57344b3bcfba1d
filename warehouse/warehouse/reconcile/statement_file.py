"""Reads a statement line by line, in bounded memory: csv or csv.gz, its header, its lines, its footer."""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import NamedTuple

from warehouse.reconcile.dialect import COLUMNS, DELIMITERS, Dialect
from warehouse.reconcile.errors import StatementFileError
from warehouse.reconcile.values import Values, WrongValueError, shown

_FOOTER = re.compile(r"#?\s*(?:grand\s+)?totals?:?", re.IGNORECASE)
_FOOTER_BEGINS = frozenset("#tTgG ")
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_LONGEST_LINE = 1_000_000
_MEND = "mend the file, or ask its sender for another"


class StatementLine(NamedTuple):
    """One payment of a statement; `line` counts the lines of the file from 1, the header with it."""

    line: int
    transaction_id: str
    amount: str
    currency: str
    status: str
    day: str


@dataclass(frozen=True)
class FooterLine:
    """What a statement says of itself: a currency's sum and count; None where it says nothing."""

    line: int
    currency: str | None
    amount: str | None
    count: int | None
    day: str | None


@dataclass
class StatementFile:
    """A statement on disk.

    Attributes:
        path: where it is.
        footer: complete once all lines were read.
    """

    path: Path
    dialect: Dialect
    minor_digits: Mapping[str, int]
    footer: list[FooterLine] = field(default_factory=list)

    def sha256(self) -> str:
        """Return the fingerprint of the file as it lies there.

        Raises:
            StatementFileError: it cannot be opened.
        """
        with _open(self.path) as raw:
            return file_digest(raw, "sha256").hexdigest()

    def lines(self) -> Iterator[StatementLine]:
        """Yield the file's payments in its order.

        Raises:
            StatementFileError: a line of it cannot be read exactly, or it breaks off.
        """
        self.footer.clear()
        reading = _Reading(self)
        try:
            with _open(self.path) as raw, _text(raw, self.dialect.encoding) as text:
                yield from reading.lines(text)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise reading.error(f"its compressed data is damaged or cut off ({error})", _MEND) from None
        except UnicodeError:
            raise reading.error(f"is no {self.dialect.encoding} text", "--encoding NAME says what it is") from None
        except csv.Error as error:
            raise reading.error(f"cannot be read as CSV ({error}); is a quote not closed?", _MEND) from None
        except OSError as error:
            raise reading.error(error.strerror or str(error), _MEND) from None


@contextmanager
def _open(path: Path) -> Iterator[io.BufferedReader]:
    try:
        if path.exists() and not path.is_file():
            raise StatementFileError(path, "is no regular file", "name a file: it is read twice")
        raw = path.open("rb")
    except OSError as error:
        raise StatementFileError(
            path, error.strerror or str(error), "name a file that is there and can be read"
        ) from None
    with raw:
        yield raw


@contextmanager
def _text(raw: io.BufferedReader, encoding: str) -> Iterator[io.TextIOWrapper]:
    packed = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    with io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw as buffered:
        start = buffered.peek(4)[:3]
        marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
        # What is no text of this encoding matters only in a column that is compared.
        with io.TextIOWrapper(buffered, marked or encoding, "surrogateescape", newline="") as text:
            yield text


class _Reading:
    """One pass over a file; knows where it is."""

    def __init__(self, file: StatementFile) -> None:
        self._file = file
        self._before = 0  # lines before the CSV reader's first
        self._began = 1
        self._values = Values(file.dialect, file.minor_digits)

    def error(self, problem: str, then: str, column: str | None = None) -> StatementFileError:
        """Return an error at the line where the present record began."""
        return StatementFileError(self._file.path, problem, then, self._began, column)

    def lines(self, text: io.TextIOWrapper) -> Iterator[StatementLine]:
        """Yield the payments; collect the footer."""
        names, delimiter = self._header(text)
        place, width = self._places(names), len(names)
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        self._began = self._before + 1
        identity, take = place["transaction_id"], self._taking(place)
        for row in reader:
            if row:
                if len(row) != width:
                    raise self.error(f"has {len(row)} values, the header has {width}", _MEND)
                name = row[identity]
                try:
                    if name[:1] in _FOOTER_BEGINS and _FOOTER.fullmatch(name.strip()):
                        self._file.footer.append(self._footer(row, place))
                    elif self._file.footer:
                        raise self.error("a payment stands behind the footer", _MEND)
                    else:
                        yield take(row)
                except WrongValueError as wrong:
                    column = self._file.dialect.columns.get(wrong.column, wrong.column)
                    raise self.error(wrong.problem, wrong.then, column) from None
            self._began = self._before + reader.line_num + 1

    def _taking(self, place: Mapping[str, int]) -> Callable[[Sequence[str]], StatementLine]:
        values, constants = self._values, self._file.dialect.constants
        identity, amount = place["transaction_id"], place["amount"]
        currency, status, day = (place.get(name) for name in ("currency", "status", "date"))
        fixed_currency = values.currency(constants["currency"]) if currency is None else ""
        fixed_status = values.status(constants["status"]) if status is None else ""
        fixed_day = values.day(constants["date"]) if day is None else ""

        def take(row: Sequence[str]) -> StatementLine:
            code = fixed_currency if currency is None else values.currency(row[currency])
            return StatementLine(
                self._began,
                values.identity(row[identity]),
                values.amount(row[amount], code),
                code,
                fixed_status if status is None else values.status(row[status]),
                fixed_day if day is None else values.day(row[day]),
            )

        return take

    def _footer(self, row: Sequence[str], place: Mapping[str, int]) -> FooterLine:
        said = {name: row[at].strip() for name, at in place.items()}
        constants, values = self._file.dialect.constants, self._values
        code = said["currency"] if "currency" in said else constants.get("currency", "")
        currency = values.currency(code) if code else None
        count = said.get("status", "")
        if count and re.fullmatch(r"[0-9]{1,18}", count) is None:
            raise WrongValueError("status", f"{shown(count)} of the footer is no count")
        return FooterLine(
            self._began,
            currency,
            values.amount(said["amount"], currency) if said["amount"] else None,
            int(count) if count else None,
            values.day(said["date"]) if said.get("date") else None,
        )

    def _header(self, text: io.TextIOWrapper) -> tuple[list[str], str]:
        dialect = self._file.dialect
        for _ in range(dialect.skip_lines):
            text.readline(_LONGEST_LINE)
            self._before += 1
        line = ""
        while not line.strip():
            line = text.readline(_LONGEST_LINE)
            self._before += 1
            if not line:
                raise self.error("holds no header line", "name another file")
        self._began = self._before
        wanted = {name.casefold() for name in dialect.columns.values()}
        best: list[str] = []
        for delimiter in [dialect.delimiter] if dialect.delimiter else DELIMITERS.values():
            names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
            if wanted <= {name.casefold() for name in names}:
                return names, delimiter
            best = max(best, names, key=len)
        known = {name.casefold() for name in best}
        missing = [name for name in dialect.columns.values() if name.casefold() not in known]
        ours = next(name for name in COLUMNS if dialect.columns.get(name) == missing[0])
        raise self.error(
            f"the header has no column {', '.join(missing)}; it has {shown(', '.join(best))}",
            f"--map {ours}=NAME names the file's column, --map {ours}==VALUE says what all its lines have",
        )

    def _places(self, names: Sequence[str]) -> dict[str, int]:
        folded = [name.casefold() for name in names]
        for name in self._file.dialect.columns.values():
            if folded.count(name.casefold()) > 1:
                raise self.error(f"the header has {name} more than once", _MEND, name)
        return {ours: folded.index(theirs.casefold()) for ours, theirs in self._file.dialect.columns.items()}
