"""One value of a statement: taken exactly as it stands, or refused. Pure."""

import re
from collections.abc import Mapping
from datetime import date, datetime

from warehouse.reconcile.dialect import Dialect

_PLAIN = re.compile(r"-?[0-9]{1,16}(?:\.([0-9]{1,4}))?")
_COMMA = re.compile(r"-?[0-9]{1,16}(?:,([0-9]{1,4}))?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_IDENTITY = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")
_ISO_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?")


class WrongValueError(ValueError):
    """A value is not what its column holds.

    Args:
        column: ours.
        problem: what is wrong, with the value.
        then: what to do about it.
    """

    def __init__(self, column: str, problem: str, then: str = "mend the file, or ask its sender for another") -> None:
        super().__init__(problem)
        self.column = column
        self.problem = problem
        self.then = then


class Values:
    """Reads the values of a file's lines; what it has seen before it knows.

    Args:
        dialect: how the file is written.
        minor_digits: of each currency that the contract knows.
    """

    def __init__(self, dialect: Dialect, minor_digits: Mapping[str, int]) -> None:
        self._dialect = dialect
        self._digits = minor_digits
        self._pattern = _COMMA if dialect.decimal == "," else _PLAIN
        self._days: dict[str, str] = {}
        self._currencies: dict[str, str] = {}
        self._statuses: dict[str, str] = {}

    def identity(self, text: str) -> str:
        """Return a transaction's id."""
        text = text.strip()
        if _IDENTITY.fullmatch(text) is None:
            raise WrongValueError("transaction_id", f"{shown(text)} is no transaction id", _ENCODING)
        return text

    def amount(self, text: str, currency: str | None) -> str:
        """Return an amount as plain decimal text; without a currency its digits are not judged."""
        text = text.strip()
        match = self._pattern.fullmatch(text)
        if match is None:
            raise WrongValueError("amount", f"{shown(text)} is no plain decimal number", self._amount_hint(text))
        fraction = (match[1] or "").rstrip("0")
        if currency is not None and len(fraction) > self._digits.get(currency, 4):
            digits = self._digits[currency]
            raise WrongValueError(
                "amount",
                f"{shown(text)} has more than the {digits} digits of {currency} behind its {self._word}",
                f"mend the file; if the {self._word} sets thousands apart, take it out",
            )
        return text.replace(",", ".")

    @property
    def _word(self) -> str:
        return "comma" if self._dialect.decimal == "," else "point"

    def _amount_hint(self, text: str) -> str:
        other = _PLAIN if self._dialect.decimal == "," else _COMMA
        if other.fullmatch(text):
            sign = "." if self._dialect.decimal == "," else ","
            return f"--decimal '{sign}' where that sign stands before the fraction; nothing is guessed"
        return "write amounts without currency signs, brackets and thousands signs"

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
            found = self._dialect.statuses.get(text.strip().upper(), "")
            if not found:
                word = text.strip() or "THEIRS"
                raise WrongValueError(
                    "status",
                    f"{shown(text)} is no status",
                    f"--status {word}=SUCCESS says what the sender's word means (or PENDING, FAILED)",
                )
            self._statuses[text] = found
        return found

    def day(self, text: str) -> str:
        """Return a date as ISO text; a time behind it is left off, without turning it to another zone."""
        found = self._days.get(text)
        if found is None:
            if len(self._days) > 100_000:
                self._days.clear()
            found = self._days[text] = self._read_day(text.strip()).isoformat()
        return found

    def _read_day(self, text: str) -> date:
        try:
            if self._dialect.date_format:
                return datetime.strptime(text, self._dialect.date_format).date()  # noqa: DTZ007 (the day as written)
            match = _ISO_TIME.fullmatch(text)
            return date.fromisoformat(match[1] if match else text if "-" in text else "")
        except ValueError:
            raise WrongValueError(
                "date",
                f"{shown(text)} is no date"
                + (f" of the form {self._dialect.date_format}" if self._dialect.date_format else ""),
                "--date-format, such as %d/%m/%Y, says how the file writes dates; nothing is guessed",
            ) from None


_ENCODING = "--encoding, such as cp1252, where the file is not UTF-8; else mend the file"


def shown(text: str) -> str:
    """Return a value for an error message: quoted, short, printable."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return repr(text if len(text) <= 40 else text[:37] + "...")
