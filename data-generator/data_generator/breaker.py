"""Chooses payments to break on purpose and makes their events."""

from decimal import Decimal
from random import Random
from typing import Any

from contracts.model import Contract
from data_generator.clock import LATEST, SECOND, zoned_text
from data_generator.events import PAYMENT, RESEND, Event, Line, to_json
from data_generator.faults import EXACT_RESEND, FOLLOW_UPS, HEAVY, HEAVY_EVERY, fault_kinds
from data_generator.outcomes import FAILED, PENDING, SUCCESS, failure_reason
from data_generator.payments import Payment, exact_amount


class Breaker:
    """Takes the kinds in turn, so that a few hundred faults hold each of them.

    Args:
        share: of payments to break, 0 to 1.
        seed: same seed, same payments and kinds.
    """

    def __init__(self, contract: Contract, share: float, seed: int) -> None:
        self._contract = contract
        self._share = share
        self._random = Random(f"{seed}|faults")  # noqa: S311 (a simulation, nothing secret)
        self._faults = fault_kinds(contract)
        self.kinds = (*FOLLOW_UPS, *self._faults)
        self._turn = self._random.randrange(len(self.kinds))
        self._chosen = 0

    def choose(self) -> str | None:
        """Return the kind to break the next payment by, or None to leave it sound."""
        if self._random.random() >= self._share:
            return None
        while True:
            kind = self.kinds[self._turn % len(self.kinds)]
            round_, self._turn = self._chosen // len(self.kinds), self._turn + 1
            self._chosen += 1
            if kind not in HEAVY or round_ % HEAVY_EVERY == 0:
                return kind

    def events(self, kind: str, payment: Payment) -> list[Event]:
        """Return the events that a payment broken by this kind is sent as. May change how it settles."""
        if kind in self._faults:
            return [self._broken(kind, payment)]
        if kind == "CONTRADICTING_STATUS" and payment.settles_as is not None:
            payment.fields, payment.settles_as = payment.settlement(), None
        if kind == "SETTLEMENT_MISMATCH" and payment.settles_as is None:
            payment.settles_as, payment.settles_reason = payment.fields["status"], payment.fields["failure_reason"]
            payment.fields = {**payment.fields, "status": PENDING, "failure_reason": None}
        first = sound_event(PAYMENT, payment, payment.fields, 0)
        return [first, self._follow_up(kind, payment, first)]

    def _broken(self, kind: str, payment: Payment) -> Event:
        sound = {**payment.fields, "amount": Decimal(payment.units).scaleb(-2)}
        broken = self._faults[kind](sound, self._chosen // len(self.kinds))
        value = to_json(broken) if isinstance(broken, dict) else broken
        currency, units = None, 0
        if isinstance(broken, dict) and self._contract.rule(kind).kind == "invalid":
            named = broken["currency"]
            if named in self._contract.currencies:
                currency, units = named, int(broken["amount"].scaleb(2))
        at = zoned_text(payment.occurred, payment.zone)
        return Event(PAYMENT, payment.key, value, at, currency, units, kind)

    def _follow_up(self, kind: str, payment: Payment, first: Event) -> Event:
        if kind == EXACT_RESEND:
            return first._replace(part=RESEND, fault=kind, line=None)
        if kind == "CONTRADICTING_STATUS":
            again = _other_final_status(payment.fields)
        elif kind == "SETTLEMENT_MISMATCH":
            again = self._mismatch(payment)
        else:
            again = {**payment.fields, "amount": exact_amount(payment.units + 1)}
        units = payment.units if again["amount"] is payment.fields["amount"] else payment.units + 1
        return Event(RESEND, payment.key, to_json(again), first.status_at, payment.currency, units, kind)

    def _mismatch(self, payment: Payment) -> dict[str, Any]:
        settled = payment.settlement()
        variant = self._chosen // len(self.kinds) % 3
        if variant == 0:
            return {**settled, "amount": exact_amount(payment.units + 1)}
        if variant == 1:
            return {**settled, "customer_id": settled["customer_id"] + "X"}
        return {**settled, "timestamp": zoned_text(payment.occurred + SECOND, payment.zone)}


def _other_final_status(fields: dict[str, Any]) -> dict[str, Any]:
    if fields["status"] == SUCCESS:
        return {**fields, "status": FAILED, "failure_reason": failure_reason(fields["payment_method"], 0)}
    return {**fields, "status": SUCCESS, "failure_reason": None}


def sound_event(part: str, payment: Payment, fields: dict[str, Any], after: int) -> Event:
    """Return a payment's event; its status is reached `after` milliseconds of event time, at the latest at LATEST."""
    at = zoned_text(min(payment.occurred + after, LATEST), payment.zone) if after else fields["timestamp"]
    line = Line(fields["timestamp"][:10], fields["transaction_id"], payment.units, payment.currency, fields["status"])
    return Event(part, payment.key, to_json(fields), at, payment.currency, payment.units, None, line)
