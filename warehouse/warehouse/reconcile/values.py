"""One value of a statement: taken exactly as it stands, or refused. Pure."""

import re
import shlex
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

from core.text import shown as seen
from warehouse.reconcile.dialect import GROUPS, Dialect, folded
from warehouse.reconcile.zone import parse_offset

# Before the fraction; many amounts together have more digits than one.
MOST_DIGITS, MOST_OF_TOTAL = 16, 24

_CURRENCY = re.compile(r"[A-Z]{3}")
# PostgreSQL holds neither NUL nor half a surrogate pair. The contract's longest id is far shorter.
_IDENTITY = re.compile(r"[^\x00\ud800-\udfff]{1,4096}", re.DOTALL)
_TIME = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<clock>(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?|24:00(?::00(?:\.0{1,9})?)?)"
    r"(?:Z|(?P<sign>[+-])(?P<hours>0[0-9]|1[0-3]|14(?=:?00)):?(?P<minutes>[0-5][0-9]))?)?"
)
_LIKE_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NAMES = {".": "point", ",": "comma"}
_OTHER = {".": ",", ",": "."}
_GROUPED = r"(?:[0-9]{1,3}(?:[%s][0-9]{3})+|[0-9]{1,2}(?:[%s][0-9]{2})+[%s][0-9]{3})"
_ENCODING = "--encoding, such as cp1252, where the file is not UTF-8; else mend the file"
_MEND = "mend the file, or ask its sender for another"
_OTHER_ROWS = "--where COLUMN=VALUE says which rows are payments and leaves the others out; else mend the file"


class WrongValueError(ValueError):
    """A value is not what its column holds.

    Args:
        column: ours.
        problem: what is wrong, with the value.
        then: what to do about it.
    """

    def __init__(self, column: str, problem: str, then: str = _MEND) -> None:
        super().__init__(problem)
        self.column = column
        self.problem = problem
        self.then = then


class Values:
    """Reads the values of a file's lines; what it has seen before it knows.

    Args:
        dialect: how the file is written.
        minor_digits: of each currency that the contract knows.

    Attributes:
        names_zones: whether a time named its own zone.
    """

    def __init__(self, dialect: Dialect, minor_digits: Mapping[str, int]) -> None:
        self._dialect = dialect
        self._digits = minor_digits
        self._pattern = _amounts(dialect.decimal, dialect.group or "")
        point = re.escape(dialect.decimal)
        self._either = None if dialect.group is not None else re.compile(rf"-?[1-9][0-9]{{0,2}}{point}[0-9]{{3}}")
        self._days: dict[str, str] = {}
        self._currencies: dict[str, str] = {}
        self._statuses: dict[str, str] = {}
        self._unsure_count = 0
        self._unsure = ""
        self._is_sure = False
        self.names_zones = False

    @property
    def unsure(self) -> tuple[int, str]:
        """How many amounts could be read in two ways, as `1.230` of a currency with three digits, and the first.

        None where another amount shows that the sign stands before a fraction.
        """
        return (0, "") if self._is_sure else (self._unsure_count, self._unsure)

    def identity(self, text: str) -> str:
        """Return a transaction's id, each character of it: with a blank behind it, it is another one."""
        if _IDENTITY.fullmatch(text) is None:
            then = _ENCODING if any("\ud800" <= char <= "\udfff" for char in text) else _OTHER_ROWS
            raise WrongValueError("transaction_id", f"{shown(text)} is no transaction id", then)
        return text

    def amount(self, text: str, currency: str | None, column: str = "amount", *, most: int = MOST_DIGITS) -> str:
        """Return an amount as plain decimal text; without a currency its digits are not judged."""
        text = text.strip()
        match = self._pattern.fullmatch(text)
        if match is None:
            raise WrongValueError(column, f"{shown(text)} is no plain decimal number", self._amount_hint(text))
        if currency is not None:
            self._check_digits(text, (match["fraction"] or ""), currency, column)
        whole = match["whole"]
        for sign in self._dialect.group or "":
            whole = whole.replace(sign, "")
        if len(whole.lstrip("-")) > most:
            raise WrongValueError(column, f"{shown(text)} has more than {most} digits")
        return f"{whole}.{match['fraction']}" if match["fraction"] else whole

    def sides(
        self, credit: str, debit: str, currency: str | None, *, most: int = MOST_DIGITS, both: bool = False
    ) -> str:
        """Return what came in less what went out.

        A payment has one of the two, or the other is zero; a footer may have both.
        """
        found = {}
        for name, text in (("credit", credit), ("debit", debit)):
            if text.strip():
                found[name] = self.amount(text, currency, name, most=most)
                if found[name].startswith("-"):
                    raise WrongValueError(name, f"{shown(text)} has a sign; the column is the sign")
        moved = {name: text for name, text in found.items() if Decimal(text) != 0}
        if len(moved) > 1 and both:
            return f"{Decimal(moved['credit']) - Decimal(moved['debit']):f}"
        if len(moved) > 1:
            raise WrongValueError("debit", "there is a credit and a debit in one row", _OTHER_ROWS)
        if not found:
            raise WrongValueError("credit", "there is neither a credit nor a debit", _OTHER_ROWS)
        name, text = next(iter((moved or found).items()))
        return f"-{text}" if name == "debit" and moved else text

    def _check_digits(self, text: str, fraction: str, currency: str, column: str) -> None:
        sign = self._dialect.decimal
        word, digits = _NAMES[sign], self._digits.get(currency, 4)
        apart = f"--group {word}, without --decimal, where that sign sets thousands apart"
        if len(fraction.rstrip("0")) > digits:
            raise WrongValueError(
                column,
                f"{shown(text)} has more than the {digits} digits of {currency} behind its {word}",
                f"{apart}; else mend the file" if self._may_be_grouped(text) else _MEND,
            )
        if self._either is not None and self._either.fullmatch(text):
            if digits < 3:
                raise WrongValueError(
                    column,
                    f"{shown(text)} can be read in two ways",
                    f"{apart}; --group none where it stands before the fraction",
                )
            self._unsure = self._unsure or text
            self._unsure_count += 1
        elif fraction:
            self._is_sure = True

    def _may_be_grouped(self, text: str) -> bool:
        sign = self._dialect.decimal
        return self._dialect.group is None and _amounts(_OTHER[sign], sign).fullmatch(text) is not None

    def _amount_hint(self, text: str) -> str:
        if not text:
            return f"--map credit=NAME,debit=NAME where amounts are in two columns; {_OTHER_ROWS}"
        ways = list(self._other_ways(text))
        if not ways:
            is_dressed = any(char in "()[]" or unicodedata.category(char) == "Sc" for char in text)
            return "write amounts without currency signs and brackets" if is_dressed else _MEND
        return f"{'; '.join(ways)}; nothing is guessed"

    def _other_ways(self, text: str) -> Iterator[str]:
        """Yield the options under which a text is an amount."""
        mine = self._dialect.decimal
        for word, signs in GROUPS.items():
            for decimal in (mine, _OTHER[mine]):
                apart = any(sign in text for sign in signs)
                if decimal in signs or (signs and not apart) or not _amounts(decimal, signs).fullmatch(text):
                    continue
                if not signs:
                    yield f"--decimal {decimal} where that sign stands before the fraction"
                elif decimal == ("," if word == "point" else "."):
                    yield f"--group {word}, without --decimal, where that sign sets thousands apart"
                else:
                    yield f"--group {word} --decimal {decimal} where those signs are so"
                break

    def currency(self, text: str) -> str:
        """Return a currency's code."""
        found = self._currencies.get(text)
        if found is None:
            found = text.strip().upper()
            if _CURRENCY.fullmatch(found) is None:
                raise WrongValueError(
                    "currency", f"{shown(text)} is no currency code", "--map currency==USD where the file has one only"
                )
            self._currencies[text] = found
        return found

    def status(self, text: str) -> str:
        """Return our word for a status."""
        found = self._statuses.get(text)
        if found is None:
            word = " ".join(text.split())
            found = self._dialect.statuses.get(folded(text), "")
            if not found:
                said = shlex.quote(f"{word}=SUCCESS")
                means = f"--status {said} says what the sender's word means (or PENDING, FAILED); " if word else ""
                raise WrongValueError("status", f"{shown(text)} is no status", means + _OTHER_ROWS)
            self._statuses[text] = found
        return found

    def day(self, text: str) -> str:
        """Return a date as ISO text: as it is written, or with a zone, the day there of a time that names its own."""
        found = self._days.get(text)
        if found is None:
            if len(self._days) > 100_000:
                self._days.clear()
            found = self._days[text] = self._read_day(text.strip()).isoformat()
        return found

    def _read_day(self, text: str) -> date:
        form = self._dialect.date_format
        try:
            moment = datetime.strptime(text, form) if form else _iso_time(text)  # noqa: DTZ007 (the day as written)
            if moment.tzinfo is not None:
                self.names_zones = True
                moment = moment.astimezone(self._dialect.zone.local) if self._dialect.zone else moment
            return moment.date()
        except (ValueError, OverflowError):
            said = f"{shown(text)} is no date" + (f" of the form {form}" if form else "")
            hint = (
                "--date-format FORMAT, such as --date-format %d/%m/%Y, says how dates are written; nothing is guessed"
            )
            raise WrongValueError("date", said, _MEND if not form and _LIKE_ISO.match(text) else hint) from None


def _amounts(decimal: str, group: str = "") -> re.Pattern[str]:
    grouped = "|" + _GROUPED.replace("%s", re.escape(group)) if group else ""
    return re.compile(rf"(?P<whole>-?(?:[0-9]{{1,24}}{grouped}))(?:{re.escape(decimal)}(?P<fraction>[0-9]{{1,4}}0*))?")


def _iso_time(text: str) -> datetime:
    """Return a day, or a time of it; 24:00 is the begin of the next day, as ISO 8601 has it.

    Raises:
        ValueError: it is none.
        OverflowError: the day after it is in no calendar.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    moment = datetime.fromisoformat(match["day"])
    clock = match["clock"]
    if clock:
        moment += timedelta(hours=int(clock[:2]), minutes=int(clock[3:5]))
        if match["sign"]:
            moment = moment.replace(tzinfo=timezone(parse_offset(match["sign"], match["hours"], match["minutes"])))
        elif text.endswith("Z"):
            moment = moment.replace(tzinfo=timezone.utc)  # noqa: UP017 (the same form as above)
    return moment


def shown(text: str) -> str:
    """Return a value for an error message: quoted, short, everything in it visible."""
    return f"'{seen(text if len(text) <= 40 else text[:37] + '...')}'"
