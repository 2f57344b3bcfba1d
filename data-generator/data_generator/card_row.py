"""One row of the Kaggle form: what cannot be read exactly is refused, never guessed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from operator import itemgetter
from typing import NamedTuple

from core.text import shown
from data_generator.clock import EARLIEST, LATEST, SECOND, milliseconds
from data_generator.errors import KaggleFileError
from data_generator.money import minor_units

NEEDED = (
    "trans_date_trans_time",
    "cc_num",
    "merchant",
    "category",
    "amt",
    "first",
    "last",
    "city",
    "state",
    "trans_num",
    "is_fraud",
)
USD_DIGITS = 2
CHECK_AGAIN = "check the file's origin; ./scripts/tieout dataset download fetches the published one."
_FRAUD = {"0": False, "1": True}


class CardRow(NamedTuple):
    """One card payment as the file states it; `card_number` never leaves the process."""

    line: int
    occurred: int
    card_number: str
    merchant: str
    category: str
    cents: int
    first: str
    last: str
    city: str
    state: str
    trans_num: str
    is_fraud: bool


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read, with every column that is wrong (None: the whole line is)."""

    file: str
    line: int
    problems: tuple[tuple[str | None, str], ...]

    def __str__(self) -> str:
        texts = [f"column {column}: {problem}" if column else problem for column, problem in self.problems]
        return f"{shown(self.file)} line {self.line}, {'; '.join(texts)}"


class _Days(dict[str, int]):
    """Milliseconds since 1970 of a day's first moment in UTC, by its text; each text is checked once."""

    def __missing__(self, text: str) -> int:
        if len(text) != 10 or text[4] != "-" or text[7] != "-":
            raise ValueError(text)
        day = milliseconds(datetime.fromisoformat(text).replace(tzinfo=UTC))
        if not EARLIEST <= day <= LATEST:
            raise CalendarEndError
        self[text] = day
        return day


class CalendarEndError(ValueError):
    """A day that stands for always or never, and is none."""


class _Clocks(dict[str, int]):
    """Milliseconds since midnight, by the text ` HH:MM:SS`."""

    def __missing__(self, text: str) -> int:
        if len(text) != 9 or text[0] != " " or text[3] != ":" or text[6] != ":":
            raise ValueError(text)
        at = time.fromisoformat(text[1:])
        self[text] = ((at.hour * 60 + at.minute) * 60 + at.second) * SECOND
        return self[text]


_DAYS = _Days()
_CLOCKS = _Clocks()


def _occurred(text: str) -> int:
    try:
        return _DAYS[text[:10]] + _CLOCKS[text[10:]]
    except CalendarEndError:
        raise ValueError(f"{text[:40]!r} is a day at the calendar's end, which no payment is made on") from None
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not YYYY-MM-DD HH:MM:SS (a spreadsheet changes dates)") from None


def _card_number(text: str) -> str:
    if text.isascii() and text.isdigit() and 8 <= len(text) <= 19:
        return text
    if "e" in text.lower():
        raise ValueError("the card number is in scientific notation: its last digits are lost")
    # The value itself is not shown: it may be a card number but for one character.
    raise ValueError(f"{len(text)} characters are not a card number of 8 to 19 digits")


def _cents(text: str) -> int:
    digits = text[:-3] + text[-2:]
    if text[-3:-2] == "." and digits.isdigit() and digits.isascii() and 2 < len(digits) < 17:
        return int(digits)
    try:
        return minor_units(text, USD_DIGITS)
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} {error}") from None


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not UTF-8") from None
    return text


def _is_fraud(text: str) -> bool:
    try:
        return _FRAUD[text]
    except KeyError:
        raise ValueError(f"{text[:40]!r} is neither 0 nor 1") from None


_READERS: dict[str, Callable[[str], object]] = {
    "trans_date_trans_time": _occurred,
    "cc_num": _card_number,
    "amt": _cents,
    "is_fraud": _is_fraud,
}


class Columns:
    """Where each needed column stands, found by name: order and further columns do not matter."""

    def __init__(self, file: str, header: list[str]) -> None:
        names = [name.strip() for name in header]
        missing = [name for name in NEEDED if name not in names]
        twice = [name for name in NEEDED if names.count(name) > 1]
        if missing or twice:
            problem = f"no column {', '.join(missing)}" if missing else f"column {', '.join(twice)} stands twice"
            raise KaggleFileError(
                f"{shown(file)} line 1: {problem}; a file of the fraudTrain.csv form has {','.join(NEEDED)}.",
                "nothing was sent.",
                CHECK_AGAIN,
            )
        self._file = file
        self._count = len(names)
        self._pick = itemgetter(*(names.index(name) for name in NEEDED))

    def read(self, line: int, text: str, values: list[str]) -> CardRow | BadRow:
        """Return the row of one line, or what is wrong with it."""
        try:
            if len(values) != self._count:
                raise ValueError
            when, card, merchant, category, amount, first, last, city, state, number, fraud = self._pick(values)
            texts = (first, last, city, state, number)
            if not (merchant.strip() and category.strip() and all(map(str.strip, texts))):
                raise ValueError
            if not text.isascii():
                text.encode()
            return CardRow(
                line, _occurred(when), _card_number(card), merchant.removeprefix("fraud_"), category,
                _cents(amount), first, last, city, state, number, _is_fraud(fraud),
            )  # fmt: skip
        except ValueError:
            return self._bad_row(line, values)

    def _bad_row(self, line: int, values: list[str]) -> BadRow:
        if len(values) != self._count:
            problem = f"{len(values)} values where the header has {self._count} columns"
            return BadRow(self._file, line, ((None, problem),))
        problems: list[tuple[str | None, str]] = []
        for column, value in zip(NEEDED, self._pick(values), strict=True):
            try:
                _READERS.get(column, _text)(value)
            except ValueError as error:
                problems.append((column, str(error)))
        return BadRow(self._file, line, tuple(problems) or ((None, "is not UTF-8"),))
