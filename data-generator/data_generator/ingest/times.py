"""Times of a file: one stated form and one stated zone; what a clock change skips or repeats is no time."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import field_validator, model_validator

from contracts.verdict import TIMESTAMP
from data_generator.ingest.forms import Form
from data_generator.ingest.record import TIME_FORM, TIME_SKIPPED, TIME_TWICE

_OFFSET = re.compile(r"([+-])(0\d|1[0-3]|14(?=:00)):([0-5]\d)")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONG_MONTHS: Final = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
                       "november", "december")  # fmt: skip
_DIRECTIVES: Final = {
    "Y": r"(?P<Y>[0-9]{4})",
    "y": r"(?P<y>[0-9]{2})",
    "m": r"(?P<m>[0-9]{1,2})",
    "d": r"(?P<d>[0-9]{1,2})",
    "H": r"(?P<H>[0-9]{1,2})",
    "I": r"(?P<I>[0-9]{1,2})",
    "M": r"(?P<M>[0-9]{1,2})",
    "S": r"(?P<S>[0-9]{1,2})",
    "f": r"(?P<f>[0-9]{1,6})",
    "p": r"(?P<p>[AaPp]\.?[Mm]\.?)",
    "b": rf"(?P<b>{'|'.join(_MONTHS)})",
    "B": rf"(?P<B>{'|'.join(_LONG_MONTHS)})",
    "z": r"(?P<z>Z|[+-][0-9]{2}:?[0-9]{2})",
    "%": "%",
}
_USUAL: Final = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
_DIGITS: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.[0-9]{2}:[0-9]{2}:[0-9]{2}")
ISO, UNIX, UNIX_MS, DAYS = "iso", "unix", "unix ms", "days"


class WrongTimeError(ValueError):
    """A text is no time of the stated form.

    Attributes:
        code: the reason code.
    """

    def __init__(self, what: str, code: str = TIME_FORM) -> None:
        super().__init__(what)
        self.code = code


class TimeForm(Form):
    """How times are written.

    Attributes:
        format: `iso`, `unix` (seconds), `unix ms`, `days` (after `since`), or directives such as `%d/%m/%Y %H:%M:%S`.
        zone: of times that name none: a name such as Europe/Madrid, or an offset such as +05:30.
        since: of `days`, the day 0.
        ambiguous: which of the two is meant, of a time that a clock change repeats; refuse: neither.
    """

    format: str = ISO
    zone: str = ""
    since: str = ""
    ambiguous: Literal["refuse", "first", "second"] = "refuse"

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        if name:
            parse_zone(name)
        return name

    @model_validator(mode="after")
    def _is_whole(self) -> "TimeForm":
        if self.format == DAYS:
            try:
                date.fromisoformat(self.since)
            except ValueError:
                raise ValueError("`format: days` needs `since:` with a day such as 2024-01-01") from None
        elif self.since:
            raise ValueError("`since:` goes with `format: days`")
        if self.format not in {ISO, UNIX, UNIX_MS, DAYS}:
            _compile(self.format)
        if self.format not in {ISO, UNIX, UNIX_MS} and "%z" not in self.format and not self.zone:
            raise ValueError("the zone is missing: `zone: UTC`, `zone: Europe/Madrid` or `zone: +05:30`")
        return self


def parse_zone(name: str) -> tzinfo:
    """Return a zone.

    Raises:
        ValueError: there is none of that name.
    """
    if name in {"UTC", "Z"}:
        return UTC
    if match := _OFFSET.fullmatch(name):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-offset if match[1] == "-" else offset)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name} is no zone; it is written as UTC, Europe/Madrid or +05:30") from None


def _compile(text: str) -> re.Pattern[str]:
    parts: list[str] = []
    seen: set[str] = set()
    pieces = re.split(r"%(.)", text)
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            parts.append(re.escape(piece))
        elif piece not in _DIRECTIVES or piece in seen:
            wrong = "is there twice" if piece in seen else f"is none of %{', %'.join(_DIRECTIVES)}"
            raise ValueError(f"format {text}: %{piece} {wrong}")
        else:
            # Next to another directive only the full width tells where one ends: 2024111 is no day.
            is_tight = (place > 1 and not pieces[place - 1]) or (place + 2 < len(pieces) and not pieces[place + 1])
            parts.append(_DIRECTIVES[piece].replace("{1,2}", "{2}") if is_tight else _DIRECTIVES[piece])
            seen |= {piece} - {"%"}
    if not (seen & {"Y", "y"} and seen & {"m", "b", "B"} and "d" in seen):
        raise ValueError(f"format {text}: it says year, month and day, such as %Y-%m-%d %H:%M:%S; or iso, unix, days")
    if ("I" in seen) != ("p" in seen) or {"H", "I"} <= seen:
        raise ValueError(f"format {text}: the hour is %H, or %I with %p")
    return re.compile("".join(parts), re.IGNORECASE)


class TimeReader:
    """Reads times of one form, as ISO 8601 with a zone.

    Args:
        form: how they are written.
    """

    def __init__(self, form: TimeForm) -> None:
        self._zone = parse_zone(form.zone) if form.zone else None
        self._ambiguous = form.ambiguous
        self._fixed = ""
        if self._zone is not None and not isinstance(self._zone, ZoneInfo):
            self._fixed = _offset_text(self._zone.utcoffset(None))
        self._since = datetime.fromisoformat(form.since) if form.since else None
        readers: dict[str, Callable[[str], str]] = {ISO: self._iso, UNIX: self._unix, UNIX_MS: self._unix_ms}
        self._pattern = None if form.format in {*readers, DAYS} else _compile(form.format)
        self._read = readers.get(form.format, self._days if form.format == DAYS else self._formatted)
        self._between = form.format[8:9]
        if form.format in _USUAL:
            self._read = self._usual

    def read(self, text: str) -> str:
        """Return a time as the contract writes it.

        Raises:
            WrongTimeError: it is none.
        """
        return self._read(text.strip())

    def _iso(self, text: str) -> str:
        if TIMESTAMP.fullmatch(text):
            return text
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise WrongTimeError("is no time of ISO 8601") from None
        if len(text) <= 10:  # a week or a day alone is no time
            raise WrongTimeError("is a day without a time")
        return self._zoned(moment)

    def _unix(self, text: str) -> str:
        match = re.fullmatch(r"(-?[0-9]{1,12})(?:\.([0-9]{1,6}))?", text)
        if match is None:
            raise WrongTimeError("is no number of seconds")
        return _since_1970(timedelta(seconds=int(match[1]), microseconds=int((match[2] or "").ljust(6, "0"))))

    def _unix_ms(self, text: str) -> str:
        if re.fullmatch(r"-?[0-9]{1,15}", text) is None:
            raise WrongTimeError("is no number of milliseconds")
        return _since_1970(timedelta(milliseconds=int(text)))

    def _days(self, text: str) -> str:
        if re.fullmatch(r"[0-9]{1,6}", text) is None or self._since is None:
            raise WrongTimeError("is no number of days")
        try:
            return self._zoned(self._since + timedelta(days=int(text)))
        except OverflowError:
            raise WrongTimeError("is beyond the calendar") from None

    def _usual(self, text: str) -> str:
        """Read a time of the two formats that nearly every file has: what C reads of it is the same, and quicker."""
        if len(text) == 19 and text[10] == self._between and _DIGITS.fullmatch(text):
            try:
                return self._zoned(datetime.fromisoformat(text))
            except WrongTimeError:
                raise
            except ValueError as error:
                raise WrongTimeError(f"does not exist ({error})") from None
        return self._formatted(text)

    def _formatted(self, text: str) -> str:
        match = self._pattern.fullmatch(text) if self._pattern else None
        if match is None:
            raise WrongTimeError("is no time of the format that the mapping states")
        found = match.groupdict("0")
        try:
            moment = datetime(  # noqa: DTZ001 (the zone is put behind it)
                _year(found), _month(found), int(found["d"]), _hour(found), int(found.get("M", 0)),
                int(found.get("S", 0)), int(found.get("f", "0").ljust(6, "0")),
            )  # fmt: skip
        except ValueError as error:
            raise WrongTimeError(f"does not exist ({error})") from None
        if zone := found.get("z"):
            offset = "+00:00" if zone in "Zz" else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
            return moment.isoformat() + offset
        return self._zoned(moment)

    def _zoned(self, moment: datetime) -> str:
        if moment.tzinfo is not None:
            return moment.replace(tzinfo=None).isoformat() + _offset_text(moment.utcoffset())
        if self._fixed:
            return moment.isoformat() + self._fixed
        if self._zone is None:
            raise WrongTimeError("names no zone, and the mapping states none")
        first = self._zone.utcoffset(moment)
        second = self._zone.utcoffset(moment.replace(fold=1))
        if first != second and first is not None and second is not None:
            if first < second:
                raise WrongTimeError("does not exist: the clocks skipped it", TIME_SKIPPED)
            if self._ambiguous == "refuse":
                raise WrongTimeError(
                    "exists twice: the clocks repeated it; `ambiguous: first` or `second` says which", TIME_TWICE
                )
            first = second if self._ambiguous == "second" else first
        return moment.isoformat() + _offset_text(first)


def _since_1970(span: timedelta) -> str:
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + span).isoformat()
    except OverflowError:
        raise WrongTimeError("is beyond the calendar") from None


def _year(found: dict[str, str]) -> int:
    if "Y" in found:
        return int(found["Y"])
    short = int(found["y"])
    return short + (2000 if short < 69 else 1900)  # as POSIX reads two digits


def _month(found: dict[str, str]) -> int:
    if "m" in found:
        return int(found["m"])
    return _MONTHS.index((found.get("b") or found["B"]).lower()[:3]) + 1


def _hour(found: dict[str, str]) -> int:
    if "I" not in found:
        return int(found.get("H", 0))
    hour = int(found["I"])
    if not 1 <= hour <= 12:
        raise ValueError("hour must be in 1..12")
    return hour % 12 + (12 if found["p"][0] in "pP" else 0)


def _offset_text(offset: timedelta | None) -> str:
    if offset is None or offset % timedelta(minutes=1):
        raise WrongTimeError("is of a time in which its zone was not whole minutes from UTC")
    minutes = offset // timedelta(minutes=1)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
