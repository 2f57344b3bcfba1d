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

UTC_ZONE: Final = 0
INDIA_ZONE: Final = 330
_ZONE_TEXT: Final = {UTC_ZONE: "+00:00", INDIA_ZONE: "+05:30"}


def milliseconds(moment: datetime) -> int:
    """Return an aware moment as milliseconds since 1970; what is finer than that is cut off."""
    return (moment - _EPOCH_UTC) // _MILLISECOND


def zoned_text(at: int, offset_minutes: int) -> str:
    """Return milliseconds since 1970 as ISO 8601 text in a zone that the gateway knows (UTC or India)."""
    seconds, rest = divmod(at, SECOND)
    text = (_EPOCH + timedelta(seconds=seconds + offset_minutes * 60)).isoformat()
    if rest:
        return f"{text}.{rest:03d}{_ZONE_TEXT[offset_minutes]}"
    return text + _ZONE_TEXT[offset_minutes]
