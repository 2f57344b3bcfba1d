"""Rows of CSV in any usual form, by the standard library's reader, every value as text.

A quote that is opened and never closed must not swallow the rows after it. Where a record of several lines is no CSV,
only its first line is refused, and reading goes on at its second. Where it is CSV, but a line within it has as many
values as the header, the whole record is refused: nobody can say whether it is one row or several.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

from core.text import shown, shown_list
from data_generator.ingest.errors import SourceError
from data_generator.ingest.forms import CsvForm
from data_generator.ingest.lines import LONGEST_LINE, Lines
from data_generator.ingest.record import ROW_ENCODING, ROW_LONG, ROW_QUOTE, ROW_WIDTH, Problem, Record
from data_generator.ingest.source import Source

_MOST_COLUMNS_SHOWN = 30
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


class _TooLongError(Exception):
    """A record has more characters than a row may have: a quote is open."""


class _Feed:
    """Gives lines to the CSV reader and keeps those of the record that it is in."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._again: deque[tuple[int, int, str]] = deque()
        self._size = 0
        self.taken: list[tuple[int, int, str]] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._again:
            held = self._again.popleft()
        else:
            at = self._lines.offset
            text = next(self._lines)
            held = (self._lines.line, at, text)
        self.taken.append(held)
        self._size += len(held[2])
        if self._size > LONGEST_LINE:
            raise _TooLongError
        return held[2]

    def begin(self) -> None:
        """Begin a record."""
        self.taken = []
        self._size = 0

    def give_back(self) -> None:
        """Let all lines of the record but the first be read again."""
        self._again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]

    @property
    def text(self) -> str:
        """The record's lines as they stand in the file, without the last line end."""
        return "".join(text for _, _, text in self.taken).rstrip("\r\n")


class CsvRows:
    """The rows of a CSV file.

    Args:
        source: the file.
        form: how it is written.
        wanted: the columns whose values are asked for.

    Attributes:
        blank: rows without any value, passed over.
        header: the file's columns, once reading has begun.
        footers: line and values of each footer.
    """

    def __init__(self, source: Source, form: CsvForm, wanted: Sequence[str]) -> None:
        self._source = source
        self._form = form
        self._wanted = tuple(wanted)
        self.blank = 0
        self.header: tuple[str, ...] = ()
        self.footers: list[tuple[int, list[str]]] = []

    def __iter__(self) -> Iterator[Record]:
        self.blank = 0
        self.footers = []
        with self._source.open() as stream:
            lines = Lines(self._source, stream, self._form.encoding)
            try:
                yield from self._records(lines)
            finally:
                lines.close()

    def _records(self, lines: Lines) -> Iterator[Record]:
        for _ in range(self._form.skip_lines):
            next(lines, None)
        feed = _Feed(lines)
        reader = csv.reader(feed, **self._dialect())
        self.header = self._read_header(feed, reader)
        pick = _picker([self.header.index(name) for name in self._wanted])
        width, begin = len(self.header), feed.begin
        footer = self._form.footer.begins if self._form.footer else None
        while True:
            begin()
            try:
                values = next(reader)
            except StopIteration:
                return
            except (csv.Error, _TooLongError) as error:
                problem = _quote_problem(error, lines=len(feed.taken))
                feed.give_back()
                yield _refused(feed, problem)
                continue
            if footer is not None and values and values[0].strip() == footer:
                self.footers.append((feed.taken[0][0], values))
                continue
            if len(values) != width or not values[0] or values[0].isspace():
                if not any(map(str.strip, values)):
                    self.blank += 1
                    continue
                if len(values) != width:
                    problem = Problem(ROW_WIDTH, f"the row has {len(values)} values, the header has {width} columns")
                    yield _refused(feed, problem)
                    continue
            line, offset, text = feed.taken[0]
            if len(feed.taken) > 1:
                if hidden := self._hidden_row(feed, width):
                    yield _refused(feed, hidden)
                    continue
                text = feed.text
            if not text.isascii() and not lines.is_text(text):
                yield _refused(feed, Problem(ROW_ENCODING, f"the row holds bytes that are no {lines.encoding}"))
                continue
            yield Record(line, offset, text.rstrip("\r\n"), pick(values))

    def _dialect(self) -> dict[str, Any]:
        form = self._form
        return {
            "delimiter": form.delimiter,
            "quotechar": form.quote or None,
            "quoting": csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE,
            "escapechar": form.escape or None,
            "doublequote": not form.escape,
            "skipinitialspace": form.skip_blanks,
            "strict": True,
        }

    def _read_header(self, feed: _Feed, reader: Any) -> tuple[str, ...]:
        if self._form.columns:
            return self._checked(tuple(self._form.columns), None)
        try:
            cells = next((row for row in reader if any(map(str.strip, row))), None)
        except (csv.Error, _TooLongError):
            raise self._error("a quote of the header is opened and not closed", "mend the header", 1) from None
        if cells is None:
            raise self._error("the file is empty: it has not even a header", "fetch the file again")
        return self._checked(tuple(cell.strip() for cell in cells), feed)

    def _checked(self, header: tuple[str, ...], feed: _Feed | None) -> tuple[str, ...]:
        line = feed.taken[-1][0] if feed else None
        missing = [name for name in self._wanted if name not in header]
        if missing:
            listed = shown_list(header[:_MOST_COLUMNS_SHOWN])
            raise self._error(
                f"there is no column {shown_list(missing)}; the header has {listed}",
                self._other_delimiter(feed) or "name the file's own columns in the mapping, or use another mapping",
                line,
            )
        doubled = [name for name in self._wanted if header.count(name) > 1]
        if doubled:
            raise self._error(
                f"the column {shown_list(doubled)} is there {header.count(doubled[0])} times",
                "give the columns different names in the file's header",
                line,
            )
        return header

    def _other_delimiter(self, feed: _Feed | None) -> str | None:
        """Return what to do where another delimiter would give the columns that are missing."""
        if feed is None:
            return None
        for delimiter, name in _DELIMITERS.items():
            other = self._dialect() | {"delimiter": delimiter, "strict": False}
            cells = [cell.strip() for cell in next(csv.reader([feed.taken[-1][2]], **other), [])]
            if all(wanted in cells for wanted in self._wanted):
                return f"write `delimiter: {delimiter!r}` below `csv:` in the mapping: with a {name} they are there"
        return None

    def _hidden_row(self, feed: _Feed, width: int) -> Problem | None:
        """Return the problem of a record within which a line is itself a row, as when a quote was left open."""
        if width < 3 or self._form.line_breaks:
            return None
        dialect = self._dialect() | {"strict": False}
        for line, _, text in feed.taken[1:-1]:
            if len(next(csv.reader([text], **dialect), [])) == width:
                first = feed.taken[0][0]
                return Problem(
                    ROW_QUOTE,
                    f"a quote opened in line {first} takes in line {line}, which looks like a row of its own; "
                    "`line_breaks: true` below `csv:` says that it is none",
                )
        return None

    def _error(self, what: str, next: str, line: int | None = None) -> SourceError:
        return SourceError(self._source.name, what, next, line)


def _quote_problem(error: Exception, lines: int) -> Problem:
    said = str(error)
    is_limit = "field limit" in said
    if isinstance(error, _TooLongError) or "unexpected end" in said or (is_limit and lines > 1):
        return Problem(ROW_QUOTE, "a quote is opened and not closed")
    if is_limit:
        return Problem(ROW_LONG, f"a value has more than {csv.field_size_limit():,} characters")
    return Problem(ROW_QUOTE, f"the quotes are not those of CSV: {shown(said)}")


def _refused(feed: _Feed, problem: Problem) -> Record:
    line, offset, _ = feed.taken[0]
    return Record(line, offset, feed.text, None, problem)


def _picker(places: list[int]) -> Any:
    if len(places) == 1:
        (place,) = places
        return lambda values: (values[place],)
    return itemgetter(*places) if places else lambda _values: ()
