"""What a run is to send: how many payments, from where, and when each of them occurs. Pure arithmetic."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from core.text import shown
from data_generator.clock import DAY, HOUR, MINUTE, SECOND

LIVE: Final = "live"
ORIGINAL: Final = "original"
LAST: Final = "last"
ALL: Final = "all"

# In live mode a day of settling passes in a minute: three days are seen within three minutes.
LIVE_COMPRESSION: Final = DAY // MINUTE
# The pace of event time where payments are sent as fast as it goes.
UNPACED_RATE: Final = Fraction(100_000)

# A customer asks for the money back within so long, mostly.
REFUNDS_WITHIN: Final = 5 * DAY

LONGEST_NAMED: Final = 60
_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}


def named(text: str) -> str:
    """Return a value for an error message: quoted, one short line, nothing invisible."""
    return f"'{shown(text if len(text) <= LONGEST_NAMED else text[:LONGEST_NAMED] + '...')}'"


def parse_duration(text: str) -> int:
    """Return `90s`, `15m`, `12h` or `3d` in milliseconds.

    Raises:
        ValueError: the text is not such a duration.
    """
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{named(text)} is not a duration such as 90s, 15m, 12h or 3d")
    return int(match[1]) * _UNITS[match[2]]


def parse_timeline(text: str) -> tuple[str, int]:
    """Return the kind of timeline and, for `last:30d`, its length in milliseconds (else 0).

    Raises:
        ValueError: the text names no timeline.
    """
    if text in (LIVE, ORIGINAL):
        return text, 0
    kind, _, span = text.partition(":")
    try:
        if kind == LAST:
            return LAST, parse_duration(span)
    except ValueError:
        pass
    raise ValueError(f"{named(text)} is not live, original or last:30d")


def parse_share(text: str) -> Fraction:
    """Return a share from 0 to 1, exactly.

    Raises:
        ValueError: the text is no such share.
    """
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,9})?", text) is None or Fraction(text) > 1:
        raise ValueError(f"{named(text)} is not a share between 0 and 1")
    return Fraction(text)


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes:
        start: milliseconds since 1970; `live` begins there, `last` ends there, `original` ignores it.
        mix: share of payments that are replayed rows; met exactly, not by chance.
        total: payments to send; None is endless.
        rate: payments a second; 0 is as fast as it goes.
        faults: share of payments that are broken on purpose.
        settle_within: the longest time to a settlement, in milliseconds of event time.
        refunds: share of successful payments that are refunded.
    """

    seed: int
    start: int
    timeline: str
    span: int
    mix: Fraction
    total: int | None
    rate: Fraction
    faults: Fraction
    settle_within: int
    refunds: Fraction = Fraction(0)

    @property
    def feed(self) -> str:
        """What makes ids and draws of this feed its own."""
        # Under `original` a file that is sent again must give the same bytes, whenever it is sent.
        return f"{self.seed}" if self.timeline == ORIGINAL else f"{self.seed}|{self.start}"

    @property
    def length(self) -> int | None:
        """How long the payments of a bounded live run take, in milliseconds."""
        if self.total is None:
            return None
        return int(self.total * SECOND / (self.rate or UNPACED_RATE))

    @property
    def settles_within(self) -> int:
        """The longest time to a settlement on this timeline, in milliseconds, at least 1."""
        return self._compressed(self.settle_within)

    @property
    def refunds_within(self) -> int:
        """The longest time to a refund on this timeline, in milliseconds, at least 1."""
        return self._compressed(REFUNDS_WITHIN)

    def _compressed(self, longest: int) -> int:
        if self.timeline != LIVE:
            return longest
        seen = longest // LIVE_COMPRESSION
        # A short run would else end before any of its settlements.
        return max(1, seen if self.length is None else min(seen, self.length // 2))

    @property
    def end(self) -> int | None:
        """Settlements due later than this stay pending. None: all are sent."""
        if self.timeline == LAST:
            return self.start
        return None if self.timeline == ORIGINAL or self.length is None else self.start + self.length

    def occurs_at(self) -> Callable[[int], int]:
        """Return the time of the payment of each number, for the timelines that do not take it from the file."""
        if self.timeline == LAST:
            begin, step = self.start - self.span, Fraction(self.span, self.total or 1)
            up, down = step.numerator, step.denominator
            return lambda number: begin + (2 * number + 1) * up // (2 * down)
        start, step = self.start, SECOND / (self.rate or UNPACED_RATE)
        up, down = step.numerator, step.denominator
        return lambda number: start + number * up // down


def payments_for_rows(rows: int, mix: Fraction) -> int:
    """Return the smallest number of payments that holds so many replayed rows."""
    return -(-rows * mix.denominator // mix.numerator)
