"""Chooses payments or refunds to break on purpose, and makes their events."""

from decimal import Decimal
from random import Random
from typing import Any, Final

from contracts.event_json import to_json
from contracts.faults import HEAVY, HEAVY_EVERY, fault_kinds
from contracts.model import Entity
from data_generator.clock import LATEST, SECOND, zoned_text
from data_generator.events import PAYMENT, RESEND, Event
from data_generator.payments import Payment, exact_amount
from data_generator.refunds import Refund

Item = Payment | Refund

EXACT_RESEND: Final = "EXACT_RESEND"
# Kinds that need a second event: the rules that the loader judges against what came before.
FOLLOW_UPS: Final = (EXACT_RESEND, "CONFLICTING_DUPLICATE", "CONTRADICTING_STATUS", "SETTLEMENT_MISMATCH")


class Breaker:
    """Takes the kinds in turn, so that a few hundred faults hold each of them.

    Args:
        entity: of the payments or refunds.
        share: of them to break, 0 to 1.
        seed: same seed, same choice and kinds.
    """

    def __init__(self, entity: Entity, share: float, seed: int) -> None:
        self._entity = entity
        self._share = share
        self._random = Random(f"{seed}|faults")  # noqa: S311 (a simulation, nothing secret)
        self._faults = fault_kinds(entity)
        self.kinds = (*FOLLOW_UPS, *self._faults)
        self._turn = self._random.randrange(len(self.kinds))
        self._chosen = 0

    def choose(self) -> str | None:
        """Return the kind to break the next one by, or None to leave it sound."""
        if self._random.random() >= self._share:
            return None
        while True:
            kind = self.kinds[self._turn % len(self.kinds)]
            round_, self._turn = self._chosen // len(self.kinds), self._turn + 1
            self._chosen += 1
            if kind not in HEAVY or round_ % HEAVY_EVERY == 0:
                return kind

    def events(self, kind: str, item: Item) -> list[Event]:
        """Return the events that a payment or refund broken by this kind is sent as. May change how it settles."""
        if kind in self._faults:
            return [self._broken(kind, item)]
        if kind == "CONTRADICTING_STATUS" and item.settles_as is not None:
            item.end_at_once()
        if kind == "SETTLEMENT_MISMATCH" and item.settles_as is None:
            item.begin_pending()
        first = sound_event(PAYMENT, item, item.fields, 0)
        return [first, self._follow_up(kind, item, first)]

    def _broken(self, kind: str, item: Item) -> Event:
        sound = {**item.fields, "amount": Decimal(item.units).scaleb(-2)}
        broken = self._faults[kind](sound, self._chosen // len(self.kinds))
        value = to_json(broken) if isinstance(broken, dict) else broken
        currency, units = None, 0
        if isinstance(broken, dict) and self._entity.rule(kind).kind == "invalid":
            named = broken["currency"]
            if named in self._entity.currencies:
                currency, units = named, int(broken["amount"].scaleb(2))
        at = zoned_text(item.occurred, item.zone)
        return Event(PAYMENT, item.key, value, at, currency, units, kind, entity=item.entity)

    def _follow_up(self, kind: str, item: Item, first: Event) -> Event:
        if kind == EXACT_RESEND:
            return first._replace(part=RESEND, fault=kind, line=None)
        if kind == "CONTRADICTING_STATUS":
            again = item.contradiction()
        elif kind == "SETTLEMENT_MISMATCH":
            again = self._mismatch(item)
        else:
            again = {**item.fields, "amount": exact_amount(item.units + 1)}
        units = item.units if again["amount"] is item.fields["amount"] else item.units + 1
        at, value = first.status_at, to_json(again)
        return Event(RESEND, item.key, value, at, item.currency, units, kind, entity=item.entity)

    def _mismatch(self, item: Item) -> dict[str, Any]:
        settled = item.settlement()
        variant = self._chosen // len(self.kinds) % 3
        if variant == 0:
            return {**settled, "amount": exact_amount(item.units + 1)}
        if variant == 1:
            return {**settled, "customer_id": settled["customer_id"] + "X"}
        return {**settled, "timestamp": zoned_text(item.occurred + SECOND, item.zone)}


def sound_event(part: str, item: Item, fields: dict[str, Any], after: int) -> Event:
    """Return the event of a payment or refund.

    Its status is reached `after` milliseconds of event time, at the latest at LATEST.
    """
    at = zoned_text(min(item.occurred + after, LATEST), item.zone) if after else fields["timestamp"]
    line = item.line(fields)
    return Event(part, item.key, to_json(fields), at, item.currency, item.units, None, line, item.entity)
