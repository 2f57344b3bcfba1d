"""Event time as integer milliseconds since 1970 (UTC), and its text with a zone."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 (naive on purpose: the zone's text is put behind it)
_EPOCH_UTC: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

# Event times of the gateway. The first and the last year of the calendar mean "always" and "never" in other people's
# files, and leave no room for another zone.
EARLIEST: Final = (datetime(2, 1, 1) - _EPOCH) // _MILLISECOND  # noqa: DTZ001
LATEST: Final = (datetime(9999, 1, 1) - _EPOCH) // _MILLISECOND - 1  # noqa: DTZ001

UTC_ZONE: Final = 0
INDIA_ZONE: Final = 330
_HOURS_REMEMBERED: Final = 100_000
_ZONE_TEXT: Final = {UTC_ZONE: "+00:00", INDIA_ZONE: "+05:30"}


def milliseconds(moment: datetime) -> int:
    """Return an aware moment as milliseconds since 1970; what is finer than that is cut off."""
    return (moment - _EPOCH_UTC) // _MILLISECOND


def moment(at: int) -> datetime:
    """Return milliseconds since 1970 as a moment in UTC, the opposite of `milliseconds`."""
    return _EPOCH_UTC + at * _MILLISECOND


class _Hours(dict[int, str]):
    """The text of an hour, `2026-11-21T10:`, by its number since 1970: a stream stays within few of them at a time."""

    def __missing__(self, hour: int) -> str:
        if len(self) > _HOURS_REMEMBERED:
            self.clear()
        self[hour] = (_EPOCH + timedelta(hours=hour)).isoformat()[:14]
        return self[hour]


_HOURS = _Hours()
_WITHIN_HOUR: Final = tuple(f"{minute:02d}:{second:02d}" for minute in range(60) for second in range(60))


def zoned_text(at: int, offset_minutes: int) -> str:
    """Return milliseconds since 1970 as ISO 8601 text in a zone that the gateway knows (UTC or India).

    Args:
        at: from EARLIEST to LATEST; further out the calendar may end.
    """
    seconds, rest = divmod(at, SECOND)
    hour, within = divmod(seconds + offset_minutes * 60, 3600)
    if rest:
        return f"{_HOURS[hour]}{_WITHIN_HOUR[within]}.{rest:03d}{_ZONE_TEXT[offset_minutes]}"
    return f"{_HOURS[hour]}{_WITHIN_HOUR[within]}{_ZONE_TEXT[offset_minutes]}"
