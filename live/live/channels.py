"""The channel of a payment method, as gold's seed states it."""

import csv
from collections.abc import Mapping

from core.layout import Layout


def read_channels(layout: Layout) -> Mapping[str, str]:
    """Return the channel by payment method, from the seed that the marts are built with."""
    seed = layout.checkout / "transformation" / "seeds" / "payment_channels.csv"
    with seed.open(encoding="utf-8", newline="") as file:
        return {row["payment_method"]: row["payment_channel"] for row in csv.DictReader(file)}
