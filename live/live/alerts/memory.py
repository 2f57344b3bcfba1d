"""What the rules look at, and what is remembered of a customer."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import orjson

from contracts.alerts import AlertRules
from live.events import EPOCH, Place

UNITS = Decimal(10_000)
_MILLISECOND = timedelta(milliseconds=1)
# A value, then partition and offset.
Mark = list[Any]
# Whole numbers beyond this do not fit the JSON that is read back: such an amount is remembered as text.
_LARGEST_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Seen:
    """One status of a payment, as the rules look at it.

    Attributes:
        is_first: the payment's first status; later ones only tell how it went.
    """

    place: Place
    transaction_id: str
    customer_id: str
    is_first: bool
    status: str
    status_at: datetime
    occurred_at: datetime
    utc_offset_minutes: int
    amount: Decimal
    currency: str
    merchant_name: str
    merchant_category: str
    city: str | None
    state: str | None
    country: str | None

    @property
    def units(self) -> int:
        """The amount in ten-thousandths of the currency's unit."""
        return int(self.amount * UNITS)

    @property
    def occurred_ms(self) -> int:
        """When the payment was made, in milliseconds since 1970."""
        return milliseconds(self.occurred_at)

    @property
    def merchant_key(self) -> str:
        """Six characters for merchant and category."""
        name = f"{self.merchant_name}\0{self.merchant_category}"
        return blake2b(name.encode(), digest_size=3).hexdigest()


def milliseconds(moment: datetime) -> int:
    """Return a moment in milliseconds since 1970, rounded down."""
    return (moment - EPOCH) // _MILLISECOND


def _keep(remembered: list[Any], newest: Any, most: int) -> None:
    remembered.append(newest)
    del remembered[:-most]


@dataclass(slots=True)
class Memory:
    """What is remembered of a customer, bounded.

    Attributes:
        since: partition and offset of the first event that is remembered: a replay from there gives the same memory.
        reached: the last offset judged, by partition: what is read again is not judged again.
        payments: how many payments were judged.
        amounts: the last amounts by currency, as numbers or texts of units, with where they stand.
        moments: when the last payments were made, with where they stand.
        declines: when payments failed, since the last success.
        place: country, state, city, moment, partition and offset of the last payment.
        merchants: merchant keys, the last paid at the end.
        velocity_ms: when VELOCITY was raised last.
    """

    since: list[int]
    reached: dict[str, int] = field(default_factory=dict)
    payments: int = 0
    amounts: dict[str, list[Mark]] = field(default_factory=dict)
    moments: list[Mark] = field(default_factory=list)
    declines: list[Mark] = field(default_factory=list)
    place: list[Any] | None = None
    merchants: list[str] = field(default_factory=list)
    velocity_ms: int | None = None

    def is_behind(self, place: Place) -> bool:
        """Say whether an event was not judged yet."""
        return place.offset > self.reached.get(str(place.partition), -1)

    def add(self, seen: Seen, rules: AlertRules) -> None:
        """Remember an event that was judged."""
        at = [seen.place.partition, seen.place.offset]
        self.reached[str(seen.place.partition)] = seen.place.offset
        if seen.status == "FAILED":
            _keep(self.declines, [milliseconds(seen.status_at), *at], rules.remembered_moments)
        elif seen.status == "SUCCESS":
            self.declines = []
        if not seen.is_first:
            return
        self.payments += 1
        units = seen.units if seen.units <= _LARGEST_NUMBER else str(seen.units)
        _keep(self.amounts.setdefault(seen.currency, []), [units, *at], rules.remembered_amounts)
        _keep(self.moments, [seen.occurred_ms, *at], rules.remembered_moments)
        self.place = [seen.country, seen.state, seen.city, seen.occurred_ms, *at]
        key = seen.merchant_key
        if key in self.merchants:
            self.merchants.remove(key)
        _keep(self.merchants, key, rules.remembered_merchants)

    def to_json(self) -> str:
        """Return the memory as JSON text."""
        return orjson.dumps(
            {
                "since": self.since,
                "reached": self.reached,
                "payments": self.payments,
                "amounts": self.amounts,
                "moments": self.moments,
                "declines": self.declines,
                "place": self.place,
                "merchants": "".join(self.merchants),
                "velocity_ms": self.velocity_ms,
            }
        ).decode()

    @classmethod
    def from_json(cls, text: str) -> "Memory":
        """Return the memory that to_json wrote."""
        found = orjson.loads(text)
        keys = found.pop("merchants")
        return cls(**found, merchants=[keys[at : at + 6] for at in range(0, len(keys), 6)])
