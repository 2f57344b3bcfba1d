"""Exact amounts: text to minor units and back, never through binary floating point."""

import re

_DECIMAL = re.compile(r"-?[0-9]{1,14}(?:\.[0-9]+)?")


def minor_units(text: str, digits: int) -> int:
    """Return a decimal text as an integer number of minor units.

    Args:
        text: plain decimal notation, `107.23`; no exponent, no separators, no currency sign.
        digits: the currency's minor digits.

    Raises:
        ValueError: the text is not such a decimal, or has more digits than the currency.
    """
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError("is not a plain decimal number")
    whole, _, fraction = text.partition(".")
    if len(fraction) > digits:
        raise ValueError(f"has more than {digits} digits behind the point")
    return int(whole + fraction.ljust(digits, "0"))


def amount_text(units: int, digits: int) -> str:
    """Return minor units as decimal text with exactly the currency's minor digits: (10723, 2) is `107.23`."""
    if digits == 0:
        return str(units)
    if units < 0:
        return "-" + amount_text(-units, digits)
    padded = str(units).rjust(digits + 1, "0")
    return f"{padded[:-digits]}.{padded[-digits:]}"
