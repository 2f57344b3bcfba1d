"""One batch of events: judged, put against what came before, and summed up; nothing is written here."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from live.events import Event, Kind
from live.payment_state import Change, Effect, PaymentState, apply, changes

Money = tuple[int, Decimal]
Arrival = tuple[datetime, int, int]


@dataclass
class Arrivals:
    """What became of the events that arrived within a second."""

    events: int = 0
    taken: int = 0
    repeated: int = 0
    rejected: int = 0
    dead_letters: int = 0
    first_at: datetime | None = None


@dataclass
class Batch:
    """What a batch changes.

    Attributes:
        fresh: first event of payments that live.payments does not hold and silver does not either.
        moved: payments whose row changes, or that silver holds and live.payments does not, by id: their last event.
        changes: deltas of the totals.
        taken: sound events that silver takes, with what they did, in the order of arrival.
        unjudged: events that could not be judged: passed over, and written down.
    """

    standings: dict[str, PaymentState]
    fresh: dict[str, Event] = field(default_factory=dict)
    moved: dict[str, Event] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    taken: list[tuple[Effect, Event]] = field(default_factory=list)
    redriven: dict[str, datetime] = field(default_factory=dict)
    arrivals: dict[datetime, Arrivals] = field(default_factory=lambda: defaultdict(Arrivals))
    unjudged: list[Event] = field(default_factory=list)
    ends: dict[int, tuple[int, datetime]] = field(default_factory=dict)

    def totals(self) -> dict[tuple[str, str, str, str], Money]:
        """Return the deltas by currency, status, category and channel."""
        sums: dict[tuple[str, str, str, str], Money] = defaultdict(lambda: (0, Decimal(0)))
        for each in self.changes:
            key = (each.currency, each.status, each.category, each.channel)
            count, amount = sums[key]
            sums[key] = (count + each.count, amount + each.count * each.event.amount)
        return sums

    def seconds(self) -> dict[tuple[datetime, str, str], Money]:
        """Return statuses reached by second of arrival and currency."""
        sums: dict[tuple[datetime, str, str], Money] = defaultdict(lambda: (0, Decimal(0)))
        for each in self.changes:
            if each.count > 0:
                key = (each.event.arrived_at.replace(microsecond=0), each.currency, each.status)
                count, amount = sums[key]
                sums[key] = (count + 1, amount + each.event.amount)
        return sums


def take(
    events: Iterable[Event], standings: dict[str, PaymentState], again: set[str], channels: Mapping[str, str]
) -> Batch:
    """Return what events do, in the order in which silver takes the events of one load.

    Args:
        events: of one poll.
        standings: how their payments stand; moved along.
        again: redrives that have arrived before.
        channels: by payment method.
    """
    batch, again = Batch(standings), set(again)
    for event in in_silvers_order(events):
        second = batch.arrivals[event.arrived_at.replace(microsecond=0)]
        second.events += 1
        second.first_at = min(second.first_at or event.arrived_at, event.arrived_at)
        _advance(batch, event)
        if event.kind is Kind.UNJUDGED:
            batch.unjudged.append(event)
            continue
        if event.kind is Kind.DEAD:
            second.dead_letters += 1
            continue
        if event.redrive_of is not None:
            if event.redrive_of in again:
                second.repeated += 1
                continue
            again.add(event.redrive_of)
            batch.redriven[event.redrive_of] = event.arrived_at
        effect = _apply(batch, event, channels) if event.kind is Kind.SOUND else Effect.REFUSED
        if effect is Effect.REFUSED:
            second.rejected += 1
        elif effect is Effect.REPEATED:
            second.repeated += 1
        else:
            second.taken += 1
    # The alert rules look at a customer's events as they arrived.
    batch.taken.sort(key=lambda each: _arrival(each[1]))
    return batch


def in_silvers_order(events: Iterable[Event]) -> list[Event]:
    """Return events by arrival, but of one payment and feed by their number, from where the feed's first one came."""
    begun: dict[tuple[str, str], Arrival] = {}

    def turn(event: Event) -> tuple[Arrival, int, Arrival]:
        arrival = _arrival(event)
        if event.feed is None:
            return arrival, 0, arrival
        return begun.setdefault((event.text("transaction_id"), event.feed), arrival), event.seq, arrival

    return sorted(sorted(events, key=_arrival), key=turn)


def _arrival(event: Event) -> Arrival:
    return event.arrived_at, event.place.partition, event.place.offset


def _advance(batch: Batch, event: Event) -> None:
    end, at = batch.ends.get(event.place.partition, (0, event.arrived_at))
    batch.ends[event.place.partition] = (max(end, event.place.offset + 1), max(at, event.arrived_at))


def _apply(batch: Batch, event: Event, channels: Mapping[str, str]) -> Effect:
    name = event.text("transaction_id")
    effect, standing = apply(batch.standings.get(name), event)
    if standing is not None:
        batch.standings[name] = standing
    if effect in (Effect.REFUSED, Effect.REPEATED):
        return effect
    batch.changes += changes(effect, event, channels[event.text("payment_method")])
    batch.taken.append((effect, event))
    if effect is Effect.NEW:
        batch.fresh[name] = event
    elif name not in batch.fresh:
        batch.moved[name] = event
    elif effect is Effect.SETTLED:
        batch.fresh[name] = event
    return effect
