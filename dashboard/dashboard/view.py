"""What a visitor has chosen, and which table can answer it."""

from dataclasses import dataclass, field
from datetime import date, timedelta

Place = tuple[str, ...]


@dataclass(frozen=True)
class View:
    """One choice of the filters. Empty: everything. One currency, always: amounts of two are never added.

    Attributes:
        regions: names of regions.
        states: pairs (country, state).
        cities: triples (country, state, city).
    """

    first_day: date
    last_day: date
    currency: str
    channels: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    states: tuple[Place, ...] = ()
    cities: tuple[Place, ...] = ()

    @property
    def days(self) -> int:
        """How many days it spans."""
        return (self.last_day - self.first_day).days + 1

    def before(self) -> "tuple[date, date]":
        """Return first and last day of the period before: as many days, right before."""
        return self.first_day - timedelta(days=self.days), self.first_day - timedelta(days=1)

    @property
    def filters(self) -> frozenset[str]:
        """The columns that a table must have to answer."""
        chosen = {
            "payment_channel": self.channels,
            "merchant_category": self.categories,
            "segment": self.segments,
            "region": self.regions,
            "state": self.states,
            "city": self.cities,
        }
        return frozenset(name for name, values in chosen.items() if values)


@dataclass(frozen=True)
class Source:
    """A table of the marts and the columns by which it can be narrowed or grouped, beside day and currency."""

    name: str
    knows: frozenset[str] = field(default_factory=frozenset)


_EVERY = frozenset({"payment_channel", "merchant_category"})
REGIONS = Source("daily_region_totals", _EVERY | {"region", "delay"})
CITIES = Source("daily_city_totals", _EVERY | {"region", "state", "city", "delay"})
SEGMENTS = Source("daily_segment_totals", _EVERY | {"region", "segment", "delay"})
HOURS = Source("daily_hour_totals", _EVERY | {"hour_of_day"})
MERCHANTS = Source("daily_merchant_totals", frozenset({"merchant_category", "merchant_name"}))
FACT = Source(
    "fact_transactions", _EVERY | {"region", "state", "city", "delay", "hour_of_day", "merchant_name", "segment"}
)

# From the smallest to the one that knows everything.
SOURCES = (REGIONS, HOURS, MERCHANTS, SEGMENTS, CITIES, FACT)

# The fact is read for so many days at most, the period before included: no summary has, say, the hours of a city.
MOST_FACT_DAYS = 62


def source_for(view: View, *wanted: str) -> Source:
    """Return the smallest table that has the wanted columns and those that the view is narrowed by."""
    needed = view.filters | set(wanted)
    return next(source for source in SOURCES if needed <= source.knows)
