"""How a statement is written: what the user said of it. Nothing of this is guessed from the values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from warehouse.reconcile.errors import MisuseError

COLUMNS = ("transaction_id", "amount", "currency", "status", "date")
STATUSES = ("PENDING", "SUCCESS", "FAILED")
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}


@dataclass(frozen=True)
class Dialect:
    """How to read a file.

    Attributes:
        columns: for each of ours the header's name of it.
        constants: for each of ours that the file does not have the value that all its lines have.
        statuses: the file's words for ours, in capitals.
        delimiter: one character; None: the one of comma, semicolon, tab and bar by which the header has the columns.
        decimal: what stands before an amount's fraction, `.` or `,`.
        date_format: strptime's; None: ISO 8601.
        encoding: of the text; a byte order mark goes before it.
        skip_lines: lines before the header.
    """

    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({name: name for name in COLUMNS}))
    constants: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    statuses: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({name: name for name in STATUSES}))
    delimiter: str | None = None
    decimal: str = "."
    date_format: str | None = None
    encoding: str = "utf-8"
    skip_lines: int = 0


def make_dialect(
    maps: Sequence[str], statuses: Sequence[str], delimiter: str | None, decimal: str, **other: object
) -> Dialect:
    """Return the dialect of a command's options.

    Args:
        maps: `ours=theirs`, several with commas between; `ours==value` says what all lines have.
        statuses: `THEIRS=OURS`, in the same way.
        delimiter: a character, or comma, semicolon, tab, pipe.
        decimal: `.` or `,`.
        other: date_format, encoding, skip_lines.

    Raises:
        MisuseError: an option is not of that form.
    """
    columns, constants = {name: name for name in COLUMNS}, {}
    for ours, theirs in _pairs(maps, "--map"):
        if ours not in COLUMNS:
            raise MisuseError(f"--map {ours}=…: the columns are {', '.join(COLUMNS)}")
        if theirs.startswith("="):
            constants[ours] = theirs[1:]
            columns.pop(ours, None)
        else:
            columns[ours] = theirs
    words = {name: name for name in STATUSES}
    for theirs, ours in _pairs(statuses, "--status"):
        if ours not in STATUSES:
            raise MisuseError(f"--status {theirs}={ours}: ours are {', '.join(STATUSES)}")
        words[theirs.upper()] = ours
    if not {"transaction_id", "amount"} <= columns.keys():
        raise MisuseError("--map: transaction_id and amount are columns of the file")
    character = DELIMITERS.get(delimiter, delimiter) if delimiter else None
    if character is not None and len(character) != 1:
        raise MisuseError(f"--delimiter {delimiter}: one character, or {', '.join(DELIMITERS)}")
    if decimal not in (".", ","):
        raise MisuseError(f"--decimal {decimal}: a point or a comma")
    return Dialect(columns, constants, words, character, decimal, **other)  # type: ignore[arg-type]


def _pairs(options: Sequence[str], name: str) -> list[tuple[str, str]]:
    found = []
    for text in (part for option in options for part in option.split(",")):
        left, equals, right = text.strip().partition("=")
        if not left or not equals or not right:
            raise MisuseError(f"{name} {text}: write it as left=right")
        found.append((left.strip(), right.strip()))
    return found
