"""How far apart two payments were made, at the least.

A place is a centre and a radius: a city where it is known, else the state. The distance that counts is the one between
the circles, so that a state's width is never taken for a journey.
"""

import csv
from collections.abc import Mapping
from functools import cache
from math import asin, cos, radians, sin, sqrt

from contracts.alerts import PLACES_FILE

EARTH_KM = 6371.0
Place = tuple[str | None, str | None, str | None]
Circle = tuple[float, float, int]


@cache
def circles() -> Mapping[tuple[str, str, str], Circle]:
    """Return latitude, longitude and radius in kilometres by country, state and city (blank: the whole state)."""
    with PLACES_FILE.open(encoding="utf-8", newline="") as file:
        return {
            (row["country"], row["state"], row["city"]): (
                radians(float(row["latitude"])),
                radians(float(row["longitude"])),
                int(row["radius_km"]),
            )
            for row in csv.DictReader(file)
        }


def find(place: Place) -> Circle | None:
    """Return the circle of a place, None where it is not known."""
    country, state, city = (part or "" for part in place)
    return circles().get((country, state, city)) or circles().get((country, state, ""))


def kilometres_apart(one: Place, other: Place) -> int | None:
    """Return the kilometres between two places, rounded, 0 where they touch; None where one is not known."""
    if one == other:
        return 0
    first, second = find(one), find(other)
    if first is None or second is None:
        return None
    (lat1, long1, radius1), (lat2, long2, radius2) = first, second
    # The haversine formula; a sphere is right to half a percent.
    h = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((long2 - long1) / 2) ** 2
    return max(0, round(2 * EARTH_KM * asin(min(1.0, sqrt(h)))) - radius1 - radius2)
