"""What the end-to-end tests ask of a platform's books, by other means than the platform's own."""

from decimal import Decimal
from typing import Any

from control.env import lake_of
from core.layout import find_layout
from drill import books


def assert_every_offset_once(platform: Any) -> int:
    """Each offset in bronze or dead letters once, each bronze offset in one silver table once; return their number."""
    lake = lake_of(find_layout({"TIEOUT_HOME": str(platform.home)}), platform.settings)
    offsets, differences = books.differences(platform.settings, lake)
    assert sum(offsets.values())
    assert differences == []
    return sum(offsets.values())


def amounts_by_currency(platform: Any) -> dict[str, tuple[int, Decimal]]:
    """Return count and exact amount per currency of the fact table."""
    query = "select currency, count(*), sum(amount) from marts.fact_transactions group by 1"
    return {currency: (count, amount) for currency, count, amount in platform.rows(query)}


def marts(platform: Any) -> dict[str, tuple[int, str]]:
    """Return rows and content hash of every mart, whatever the order of its rows."""
    found = books.marts(platform.settings)
    assert found
    return found
