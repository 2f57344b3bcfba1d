"""Numbers as people read them. Amounts stay Decimal until they are text."""

from decimal import Decimal

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.csv_text import guarded
from core.text import shown
from dashboard.figures import rounded

NOTHING = "-"


def minor_digits(currency: str) -> int:
    """Return how many digits behind the point a currency has."""
    return dict(load_entity(PAYMENTS).currencies).get(currency, 2)


def amount(value: Decimal | None, currency: str) -> str:
    """Return an amount in full, where its currency stands beside it."""
    return NOTHING if value is None else f"{rounded(value, minor_digits(currency)):,}"


def money(value: Decimal | None, currency: str) -> str:
    """Return an amount in full, with its currency."""
    return NOTHING if value is None else f"{amount(value, currency)} {currency}"


def share(value: Decimal | None) -> str:
    """Return a share in percent."""
    return NOTHING if value is None else f"{rounded(value * 100, 2)} %"


def signed_share(value: Decimal | None) -> str | None:
    """Return a change in percent with its sign; None where there is nothing to compare with."""
    return None if value is None else f"{rounded(value * 100, 1):+} %"


def duration(seconds: Decimal | int | None) -> str:
    """Return a duration in its two largest units."""
    if seconds is None:
        return NOTHING
    whole = int(rounded(Decimal(seconds), 0))
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def others_text(value: object) -> str:
    """Return text that somebody else may have written as a table or chart can show, copy and export it."""
    text = shown(value)
    return text if text == NOTHING else str(guarded(text))


def place(parts: tuple[str, ...]) -> str:
    """Return a place from its parts, the country first, as it is written: the smallest first, the same word once."""
    return ", ".join(dict.fromkeys(reversed(parts)))
