"""A row of a file as it was read: every value as text."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

# Reason codes of rows that cannot be read or cast. Those of the contract are added where a row breaks it.
ROW_WIDTH: Final = "ROW_WIDTH"
ROW_QUOTE: Final = "ROW_QUOTE"
ROW_LONG: Final = "ROW_TOO_LONG"
ROW_ENCODING: Final = "ROW_ENCODING"
ROW_JSON: Final = "ROW_NO_JSON"
COLUMN_MISSING: Final = "COLUMN_MISSING"
VALUE_FORM: Final = "VALUE_FORM"
VALUE_UNKNOWN: Final = "VALUE_UNKNOWN"
TIME_FORM: Final = "TIME_FORM"
TIME_SKIPPED: Final = "TIME_SKIPPED_BY_CLOCK_CHANGE"
TIME_TWICE: Final = "TIME_TWICE_IN_CLOCK_CHANGE"
LOOKUP_MISSING: Final = "LOOKUP_MISSING"


class Problem(NamedTuple):
    """One thing that is wrong with a row.

    Attributes:
        code: a reason code, of those above or of the contract.
        what: a sentence for people; it holds no value of a column with personal data.
        column: of the file; None for the row as a whole.
    """

    code: str
    what: str
    column: str | None = None

    def __str__(self) -> str:
        at = f"column {self.column}: " if self.column else ""
        return f"{at}{self.what} ({self.code})"


class Record(NamedTuple):
    """A row.

    Attributes:
        line: the line in the file at which it begins, from 1; of Parquet the row's number.
        offset: the byte at which it begins, of the unpacked text; None where a format has none.
        raw: the text of the row as it stands in the file; empty where a format has none.
        values: of the asked columns, in their order; None for a JSON null. None as a whole where `problem` says why.
        problem: why it cannot be read.
    """

    line: int
    offset: int | None
    raw: str
    values: Sequence[str | None] | None
    problem: Problem | None = None


class Rows(Protocol):
    """A file's rows.

    Attributes:
        blank: rows without any value, passed over so far.
        header: the columns of a form that has a header; empty for others.
    """

    blank: int
    header: tuple[str, ...]

    def __iter__(self) -> Iterator[Record]:
        """Yield the rows in the order of the file."""
