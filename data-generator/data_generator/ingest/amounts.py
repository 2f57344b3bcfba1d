"""Amounts of a file: one stated form, read exactly, never through binary floating point."""

import re
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from data_generator.ingest.forms import Form

# The longest fraction and the longest whole number that are read; the contract's limits are narrower.
_MOST_DIGITS: Final = 38
BLANKS: Final = " \t\u00a0\u202f\u2009"


class AmountForm(Form):
    """How amounts are written.

    Attributes:
        decimal: what comes before the fraction.
        group: what sets thousands apart; a blank stands for every blank of typesetters; empty: nothing does.
        symbols: signs of the currency that may come before or after the number.
        negative: how a negative amount is marked.
        minor_units: whether it is a whole number of the currency's smallest unit.
        negate: whether what is paid is written as a negative amount.
        binary: shortest: the amounts of a Parquet file may be binary, and each is its shortest decimal.
    """

    decimal: Literal[".", ","] = "."
    group: Literal["", ".", ",", " ", "'"] = ""
    symbols: list[Annotated[str, Field(min_length=1, max_length=5)]] = Field(default_factory=list)
    negative: Literal["minus", "parentheses", "minus after"] = "minus"
    minor_units: bool = False
    negate: bool = False
    binary: Literal["refuse", "shortest"] = "refuse"

    @model_validator(mode="after")
    def _has_two_signs(self) -> "AmountForm":
        if self.group == self.decimal:
            raise ValueError("decimal and group are different signs")
        if self.minor_units and self.group:
            raise ValueError("an amount in minor units has no groups")
        return self


class AmountReader:
    """Reads amounts of one form.

    Args:
        form: how they are written.
    """

    def __init__(self, form: AmountForm) -> None:
        self._negate = form.negate
        self._minor = form.minor_units
        self._group = {" ": BLANKS, "'": "'\u2019"}.get(form.group, form.group)
        point = re.escape(form.decimal)
        whole = r"[0-9]{1,38}"
        if self._group:
            whole = rf"[0-9]{{1,3}}(?:[{re.escape(self._group)}][0-9]{{3}}){{1,12}}|{whole}"
        number = rf"(?P<whole>{whole})" if self._minor else (
            rf"(?P<whole>{whole}|(?={point}[0-9]))(?:{point}(?P<fraction>[0-9]{{1,{_MOST_DIGITS}}}))?"
        )  # fmt: skip
        symbol = "".join(rf"|{re.escape(each)}" for each in sorted(form.symbols, key=len, reverse=True))
        symbol = rf"(?:(?:{symbol[1:]})[{BLANKS}]?)?" if symbol else ""
        after = rf"(?:[{BLANKS}]?(?:{'|'.join(map(re.escape, form.symbols))}))?" if form.symbols else ""
        if form.negative == "parentheses":
            pattern = rf"(?P<minus>\()?{symbol}{number}{after}(?(minus)\))"
        elif form.negative == "minus after":
            pattern = rf"{symbol}{number}(?P<minus>-)?{after}"
        else:
            pattern = rf"(?P<minus>[-\u2212])?\+?{symbol}(?P<inner>-)?{number}{after}"
        self._pattern = re.compile(pattern)
        self._plain = re.compile(r"(-?)([0-9]{1,16})\.([0-9]{1,4})") if self._is_plain(form) else None

    @staticmethod
    def _is_plain(form: AmountForm) -> bool:
        return form.decimal == "." and form.negative == "minus" and not form.minor_units

    def read(self, text: str, digits: int) -> str:
        """Return an amount in major units as JSON writes it: a minus or nothing, digits, a point, digits.

        Args:
            text: as it stands in the file; blanks around it do not count.
            digits: the currency's minor digits.

        Raises:
            ValueError: the text is not of this form.
        """
        if self._plain is not None and (plain := self._plain.fullmatch(text)):
            minus, whole, fraction = plain[1], plain[2], plain[3]
        else:
            minus, whole, fraction = self._parts(text)
            if self._minor and digits:
                padded = whole.rjust(digits + 1, "0")
                whole, fraction = padded[:-digits], padded[-digits:]
        whole = whole.lstrip("0") or "0"
        if self._negate:
            minus = "" if minus else "-"
        if minus and whole == "0" and not fraction.strip("0"):
            minus = ""
        return f"{minus}{whole}.{fraction}" if fraction else f"{minus}{whole}"

    def _parts(self, text: str) -> tuple[str, str, str]:
        match = self._pattern.fullmatch(text.strip(BLANKS))
        if match is None:
            raise ValueError("is no amount of the form that the mapping states")
        found = match.groupdict()
        if found["minus"] and found.get("inner"):
            raise ValueError("has two signs")
        whole: str = found["whole"]
        if self._group:
            whole = "".join(char for char in whole if char not in self._group)
        return "-" if found["minus"] or found.get("inner") else "", whole, found.get("fraction") or ""


def units_of(text: str, digits: int) -> int | None:
    """Return an amount of `AmountReader` in minor units; None where it has more significant digits than these."""
    whole, _, fraction = text.partition(".")
    if len(fraction) > digits:
        if fraction[digits:].strip("0"):
            return None
        fraction = fraction[:digits]
    return int(whole + fraction.ljust(digits, "0")) if digits else int(whole)
