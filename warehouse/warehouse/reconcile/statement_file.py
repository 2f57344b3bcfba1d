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

from contracts.statement import is_footer
from warehouse.reconcile.dialect import Dialect, folded
from warehouse.reconcile.errors import MisuseError, StatementFileError
from warehouse.reconcile.header import Header, find_header, shown_name
from warehouse.reconcile.values import MOST_DIGITS, MOST_OF_TOTAL, Values, WrongValueError, shown

_FOOTER_WORDS = ("total", "grand total", "subtotal", "sum", "***end")
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_SHOWN_VALUES = 10
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
        footer: complete once all lines were read, as all below.
        taken: how many payments it has.
        left_out: how many rows `--where` leaves out.
        unsure: how many amounts could be read in two ways, and the first of them.
        names_zones: whether a time of it names its zone.
    """

    path: Path
    dialect: Dialect
    minor_digits: Mapping[str, int]
    footer: list[FooterLine] = field(default_factory=list)
    taken: int = 0
    left_out: int = 0
    unsure: tuple[int, str] = (0, "")
    names_zones: bool = False

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
        self.taken = self.left_out = 0
        reading = _Reading(self)
        try:
            with _open(self.path) as raw, _text(raw, self.dialect.encoding) as text:
                for line in reading.lines(text):
                    self.taken += 1
                    yield line
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
        header, self._before = find_header(self._file.path, self._file.dialect, text)
        place, width = header.places, len(header.cells)
        reader = csv.reader(text, delimiter=header.delimiter, strict=True)
        self._began = self._before + 1
        identity, take, others = place["transaction_id"], self._taking(place), _Others(header, self._file.dialect)
        for row in reader:
            if any(cell and not cell.isspace() for cell in row):
                if len(row) != width and not header.fit(row):
                    raise self.error(f"has {len(row)} values, the header has {width}", _MEND)
                name = row[identity]
                try:
                    if is_footer(name):
                        self._file.footer.append(self._footer(row, place))
                    elif others.has(row):
                        self._file.left_out += 1
                    elif self._file.footer:
                        raise self.error("a payment stands behind the footer", _MEND)
                    else:
                        yield take(row)
                except WrongValueError as wrong:
                    raise self._wrong(wrong, row, name) from None
            self._began = self._before + reader.line_num + 1
        self._file.unsure, self._file.names_zones = self._values.unsure, self._values.names_zones
        others.refuse_nothing(self._file)

    def _wrong(self, wrong: WrongValueError, row: Sequence[str], name: str) -> StatementFileError:
        column = self._file.dialect.columns.get(wrong.column, wrong.column)
        then = wrong.then
        if not is_footer(name) and name.casefold().lstrip("# ").startswith(_FOOTER_WORDS):
            identity = shown_name(self._file.dialect.columns["transaction_id"])
            then = f"if it is the footer, write TOTAL in column {identity}; if it is neither, take the line out"
        elif any("\ud800" <= char <= "\udfff" for char in "".join(row)):
            then = "--encoding, such as cp1252, where the file is not UTF-8; else mend the file"
        return self.error(wrong.problem, then, shown_name(column))

    def _taking(self, place: Mapping[str, int]) -> Callable[[Sequence[str]], StatementLine]:
        values, constants = self._values, self._file.dialect.constants
        identity, amount = place["transaction_id"], self._amounts(place)
        currency, status, day = (place.get(name) for name in ("currency", "status", "date"))
        try:
            fixed_currency = values.currency(constants["currency"]) if currency is None else ""
            fixed_status = values.status(constants["status"]) if status is None else ""
            fixed_day = values.day(constants["date"]) if day is None else ""
        except WrongValueError as wrong:
            raise MisuseError(f"--map {wrong.column}=={constants[wrong.column]}: {wrong.problem}") from None

        def take(row: Sequence[str]) -> StatementLine:
            code = fixed_currency if currency is None else values.currency(row[currency])
            return StatementLine(
                self._began,
                values.identity(row[identity]),
                amount(row, code),
                code,
                fixed_status if status is None else values.status(row[status]),
                fixed_day if day is None else values.day(row[day]),
            )

        return take

    def _amounts(
        self, place: Mapping[str, int], *, of_footer: bool = False
    ) -> Callable[[Sequence[str], str | None], str]:
        values, most = self._values, MOST_OF_TOTAL if of_footer else MOST_DIGITS
        if "amount" in place:
            at = place["amount"]
            return lambda row, code: values.amount(row[at], code, most=most)
        credit, debit = place["credit"], place["debit"]
        return lambda row, code: values.sides(row[credit], row[debit], code, most=most, both=of_footer)

    def _footer(self, row: Sequence[str], place: Mapping[str, int]) -> FooterLine:
        said = {name: row[at].strip() for name, at in place.items()}
        constants, values = self._file.dialect.constants, self._values
        code = said["currency"] if "currency" in said else constants.get("currency", "")
        currency = values.currency(code) if code else None
        count = said.get("status", "")
        if count and re.fullmatch(r"[0-9]{1,18}", count) is None:
            raise WrongValueError("status", f"{shown(count)} of the footer is no count")
        has_amount = any(said.get(name) for name in ("amount", "credit", "debit"))
        return FooterLine(
            self._began,
            currency,
            self._amounts(place, of_footer=True)(row, currency) if has_amount else None,
            int(count) if count else None,
            values.day(said["date"]) if said.get("date") else None,
        )


class _Others:
    """Tells rows of other kinds by the columns that `--where` names.

    Raises:
        StatementFileError: the header has no such column.
    """

    def __init__(self, header: Header, dialect: Dialect) -> None:
        self._wanted = [(header.place(name), values) for name, values in dialect.where.items()]
        self._rows = 0
        self._seen: dict[str, None] = {}

    def has(self, row: Sequence[str]) -> bool:
        """Say whether a row is not one of the payments."""
        for place, values in self._wanted:
            if folded(row[place]) not in values:
                self._rows += 1
                if len(self._seen) < _SHOWN_VALUES:
                    self._seen[row[place]] = None
                return True
        return False

    def refuse_nothing(self, file: StatementFile) -> None:
        """Refuse a file of which no row is left.

        Raises:
            StatementFileError: every row was left out.
        """
        if self._rows and not file.taken:
            found = ", ".join(map(shown, self._seen))
            raise StatementFileError(
                file.path, f"--where leaves out every row; they have {found}", "--where COLUMN=VALUE"
            )
