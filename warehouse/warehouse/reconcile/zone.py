"""The zone in which a statement's days are cut."""

import re
from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from warehouse.reconcile.errors import MisuseError

# No place on earth is further from UTC than fourteen hours.
_OFFSET = re.compile(r"([+-])(0\d|1[0-3]|14(?=:?00)):?([0-5]\d)")


@dataclass(frozen=True)
class Zone:
    """A zone as Python and PostgreSQL know it.

    Attributes:
        name: one that both know.
        local: for Python.
        offset: from UTC where the zone is one, else None: its name says it.
    """

    name: str
    local: tzinfo
    offset: timedelta | None = None


# Python knows these names as zones with summer time; the database takes them for fixed offsets. Both know the others.
_WITH_SUMMER_TIME = {
    "CET": "Europe/Brussels",
    "EET": "Europe/Athens",
    "MET": "Europe/Brussels",
    "WET": "Europe/Lisbon",
}


def parse_zone(text: str) -> Zone:
    """Return the zone of a name such as UTC or Europe/Berlin, or of an offset such as +05:30.

    Raises:
        MisuseError: there is no such zone.
    """
    text = _WITH_SUMMER_TIME.get(text.upper(), text)
    if text in {"UTC", "Z"}:
        return Zone(text, timezone.utc, timedelta(0))  # noqa: UP017 (the same form as below)
    match = _OFFSET.fullmatch(text)
    if match:
        offset = parse_offset(match[1], match[2], match[3])
        return Zone(text, timezone(offset), offset)
    try:
        return Zone(text, ZoneInfo(text))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise MisuseError(f"--zone {text}: a zone such as UTC, Europe/Berlin or +05:30") from None


def parse_offset(sign: str, hours: str, minutes: str) -> timedelta:
    """Return an offset of its parts."""
    size = timedelta(hours=int(hours), minutes=int(minutes))
    return -size if sign == "-" else size
