"""How a statement is written: what the user said of it. Nothing of this is guessed from the values."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from warehouse.reconcile.errors import MisuseError
from warehouse.reconcile.zone import Zone, parse_zone

COLUMNS = ("transaction_id", "amount", "currency", "status", "date")
# Two columns in place of the amount: what came in, and what went out.
SIDES = ("credit", "debit")
STATUSES = ("PENDING", "SUCCESS", "FAILED")
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
# A blank that sets thousands apart is one of these; an apostrophe is straight or typeset.
GROUPS = {"none": "", "point": ".", "comma": ",", "blank": " \u00a0\u202f\u2009", "apostrophe": "'\u2019"}
_NO_DELIMITERS = frozenset('"\r\n\0')


@dataclass(frozen=True)
class Dialect:
    """How to read a file.

    Attributes:
        columns: for each of ours the header's name of it; credit and debit in place of amount.
        constants: for each of ours that the file does not have the value that all its lines have.
        statuses: the file's words for ours, folded.
        delimiter: one character; None: the one of comma, semicolon, tab and bar by which the header has the columns.
        decimal: what stands before an amount's fraction, `.` or `,`.
        group: the characters that set thousands apart; empty: none does; None: nobody said.
        date_format: strptime's; None: ISO 8601.
        encoding: of the text; a byte order mark goes before it.
        skip_lines: lines before the header.
        zone: in which the days are cut; None: each payment's own.
        where: the file's columns, folded, with the folded values that a payment's row has there.
    """

    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({name: name for name in COLUMNS}))
    constants: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    statuses: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({folded(name): name for name in STATUSES})
    )
    delimiter: str | None = None
    decimal: str = "."
    group: str | None = None
    date_format: str | None = None
    encoding: str = "utf-8"
    skip_lines: int = 0
    zone: Zone | None = None
    where: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))


def folded(text: str) -> str:
    """Return a name or word as it is compared: composed letters, single blanks, nothing invisible, case aside."""
    seen = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return " ".join(unicodedata.normalize("NFC", seen).split()).casefold()


def make_dialect(
    maps: Sequence[str],
    statuses: Sequence[str],
    delimiter: str | None = None,
    decimal: str | None = None,
    *,
    group: str | None = None,
    zone: str | None = None,
    where: Sequence[str] = (),
    date_format: str | None = None,
    encoding: str = "utf-8",
    skip_lines: int = 0,
) -> Dialect:
    """Return the dialect of a command's options.

    Args:
        maps: `ours=theirs`, several with commas between; `ours==value` says what all lines have.
        statuses: `THEIRS=OURS`, in the same way.
        delimiter: a character, or comma, semicolon, tab, pipe.
        decimal: `.` or `,`; None: the one that does not set thousands apart, `.` where nothing does.
        group: a character or a word of GROUPS.
        zone: a name such as Europe/Berlin, or an offset such as +05:30.
        where: `COLUMN=VALUE` each, of the file's columns.
        date_format: strptime's.
        encoding: of the text.
        skip_lines: lines before the header.

    Raises:
        MisuseError: an option is not of that form.
    """
    columns, constants = _columns(maps)
    signs = _group(group)
    if decimal is None:
        decimal = "," if signs == "." else "."
    if decimal not in {".", ","}:
        raise MisuseError(f"--decimal {decimal}: a point or a comma")
    if signs is not None and decimal in signs:
        raise MisuseError(f"--group {group} --decimal {decimal}: one sign cannot be both")
    _check_encoding(encoding)
    if date_format is not None:
        _check_date_format(date_format)
    return Dialect(
        columns=columns,
        constants=constants,
        statuses=_statuses(statuses),
        delimiter=_delimiter(delimiter),
        decimal=decimal,
        group=signs,
        date_format=date_format,
        encoding=encoding,
        skip_lines=skip_lines,
        zone=None if zone is None else parse_zone(zone),
        where=_where(where),
    )


def _columns(maps: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    columns, constants = {name: name for name in COLUMNS}, {}
    for ours, theirs in _pairs(maps, "--map", joins="before"):
        if ours not in {*COLUMNS, *SIDES}:
            raise MisuseError(f"--map {ours}=…: the columns are {', '.join([*COLUMNS, *SIDES])}")
        if theirs.startswith("="):
            constants[ours] = theirs[1:]
            columns.pop(ours, None)
        else:
            columns[ours] = theirs
    named = [side for side in SIDES if side in columns]
    if len(named) == 1:
        raise MisuseError(f"--map {named[0]}=…: credit and debit go together; a single column is the amount")
    if named:
        if columns.pop("amount") != "amount":
            raise MisuseError("--map: amount, or credit and debit; not all three")
    elif "amount" not in columns:
        raise MisuseError("--map: the amount is a column of the file")
    if "transaction_id" not in columns or set(SIDES) & constants.keys():
        raise MisuseError("--map: transaction_id, credit and debit are columns of the file")
    return columns, constants


def _statuses(statuses: Sequence[str]) -> dict[str, str]:
    words = {folded(name): name for name in STATUSES}
    for theirs, ours in _pairs(statuses, "--status", joins="after"):
        if ours not in STATUSES:
            raise MisuseError(f"--status {theirs}={ours}: ours are {', '.join(STATUSES)}")
        words[folded(theirs)] = ours
    return words


def _delimiter(text: str | None) -> str | None:
    character = DELIMITERS.get(text, text) if text is not None else None
    if character is not None and (len(character) != 1 or character in _NO_DELIMITERS):
        raise MisuseError(f"--delimiter {text}: one character, or {', '.join(DELIMITERS)}")
    return character


def _group(text: str | None) -> str | None:
    if text is None:
        return None
    for word, signs in GROUPS.items():
        if text == word or (len(text) == 1 and text in signs):
            return signs
    raise MisuseError(f"--group {text}: one of {', '.join(GROUPS)}, or the sign itself")


def _where(conditions: Sequence[str]) -> dict[str, frozenset[str]]:
    wanted: dict[str, frozenset[str]] = {}
    for text in conditions:
        column, equals, value = text.partition("=")
        if not folded(column) or not equals:
            raise MisuseError(f"--where {text}: write it as COLUMN=VALUE")
        wanted[folded(column)] = wanted.get(folded(column), frozenset()) | {folded(value)}
    return wanted


def _check_encoding(name: str) -> None:
    try:
        "a".encode(name)
    except (LookupError, ValueError):
        raise MisuseError(f"--encoding {name} is none that Python knows") from None


def _check_date_format(text: str) -> None:
    if "%Z" in text:
        raise MisuseError(f"--date-format {text}: the name of a zone is read by nobody; %z reads +05:30, +0530 and Z")
    day = datetime(2031, 12, 25, tzinfo=UTC)  # any day will do
    try:
        whole = datetime.strptime(day.strftime(text), text).date() == day.date()  # noqa: DTZ007
    except (ValueError, UnicodeError, re.error):  # the last: a part is named twice
        whole = False
    if not whole:
        raise MisuseError(f"--date-format {text}: it says day, month and year, such as %d/%m/%Y")


def _pairs(options: Sequence[str], name: str, *, joins: str) -> list[tuple[str, str]]:
    """Return the pairs of options; a comma may be part of the file's own word, which stands before or after `=`."""
    found = []
    for option in options:
        parts: list[str] = []
        for part in option.split(","):
            if parts and ("=" not in (part if joins == "before" else parts[-1])):
                parts[-1] += f",{part}"
            else:
                parts.append(part)
        for part in parts:
            left, equals, right = part.strip().partition("=")
            if not left.strip() or not equals or not right.strip():
                raise MisuseError(f"{name} {part}: write it as left=right")
            found.append((left.strip(), right.strip()))
    return found
