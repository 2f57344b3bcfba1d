"""What an event does to its payment, and so to the totals: silver's rules for second events, one event at a time."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from live.events import Event, Place

PENDING = "PENDING"


class Effect(Enum):
    """What became of a sound event."""

    NEW = "new payment"
    SETTLED = "settled a pending payment"
    LATE = "a PENDING behind its final status: silver takes it, nothing is counted"
    REPEATED = "a status that is there already"
    REFUSED = "contradicts what came before"


@dataclass(slots=True)
class PaymentState:
    """How a payment stands.

    Attributes:
        is_kept: it has a row in live.payments.
        first: where its first event stands; arrived_at: when that arrived.
    """

    status: str
    has_pending: bool
    identity_hash: UUID
    is_kept: bool
    first: Place
    arrived_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What an event did to the totals of one currency, status, category and channel."""

    place: Place
    currency: str
    status: str
    category: str
    channel: str
    count: int
    event: Event


def apply(standing: PaymentState | None, event: Event) -> tuple[Effect, PaymentState | None]:
    """Return what the event is, and how its payment stands behind it."""
    status, identity = event.text("status"), event.identity_hash
    if standing is None:
        if identity is None:
            raise ValueError("only sound events have an effect")
        return Effect.NEW, PaymentState(status, status == PENDING, identity, False, event.place, event.arrived_at)
    if identity != standing.identity_hash:
        return Effect.REFUSED, standing
    if status == PENDING:
        if standing.has_pending:
            return Effect.REPEATED, standing
        standing.has_pending = True
        return Effect.LATE, standing
    if standing.status == PENDING:
        standing.status = status
        return Effect.SETTLED, standing
    return (Effect.REPEATED if status == standing.status else Effect.REFUSED), standing


def changes(effect: Effect, event: Event, channel: str) -> list[Change]:
    """Return what the event adds to the totals and takes from them."""
    where = (event.text("currency"), event.text("merchant_category"))

    def change(status: str, count: int) -> Change:
        return Change(event.place, where[0], status, where[1], channel, count, event)

    if effect is Effect.NEW:
        return [change(event.text("status"), 1)]
    if effect is Effect.SETTLED:
        return [change(PENDING, -1), change(event.text("status"), 1)]
    return []
