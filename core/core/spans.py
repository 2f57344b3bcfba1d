"""Lengths of time and ranges of offsets as people write them."""

import re
from datetime import timedelta

_SPAN = re.compile(r"([0-9]{1,12})\s*([smhd])")
# P:FROM-TO; no partition or offset is longer.
OFFSETS = re.compile(r"([0-9]{1,9}):([0-9]{1,18})-([0-9]{1,18})")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
# The calendar has ends: a moment so far from any moment of the data is still in it.
LONGEST = timedelta(days=36_525)


def parse_span(text: str) -> timedelta:
    """Return `90s`, `15m`, `12h` or `3d` as a length of time.

    Raises:
        ValueError: the text is none, or longer than a hundred years.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a number with s, m, h or d, such as 90s, 15m, 26h or 3d")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{text!r} is longer than a hundred years")
    return timedelta(seconds=seconds)
