"""Refunds of payments: whole, in part, or in several parts, hours to days after the payment succeeded.

Pure: the same payment of the same feed has the same refunds.
"""

from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from typing import Any, ClassVar, Final

from data_generator.clock import HOUR, LATEST, zoned_text
from data_generator.outcomes import DRAW_RANGE, FAILED, FAILS_BELOW, PENDING, SUCCESS
from data_generator.payments import Payment, exact_amount

REFUNDS: Final = "refunds"
REASONS: Final = ("CUSTOMER_REQUEST", "CUSTOMER_REQUEST", "NOT_DELIVERED", "DAMAGED", "DUPLICATE_CHARGE", "FRAUD")
_DRAWS: Final = Struct("<HHHHHHHH")
_STARTS_PENDING_BELOW: Final = round(0.2 * DRAW_RANGE)
_WHOLE_BELOW: Final = round(0.6 * DRAW_RANGE)
_ONE_PART_BELOW: Final = round(0.85 * DRAW_RANGE)


@dataclass(slots=True)
class Refund:
    """A refund before it is sent. It has the attributes of a Payment that an event is made of."""

    key: bytes
    fields: dict[str, Any]
    currency: str
    units: int
    occurred: int
    zone: int
    settles_as: str | None
    settles_after: int
    entity: ClassVar[str] = REFUNDS

    def settlement(self) -> dict[str, Any]:
        """Return the fields of the final status: all the same but the status."""
        return {**self.fields, "status": self.settles_as}

    def begin_pending(self) -> None:
        """Let a refund with a final status begin PENDING, and settle as it was."""
        self.settles_as, self.fields = self.fields["status"], {**self.fields, "status": PENDING}

    def end_at_once(self) -> None:
        """Let a PENDING refund have its final status from the beginning."""
        self.fields, self.settles_as = self.settlement(), None

    def contradiction(self) -> dict[str, Any]:
        """Return the fields with the other final status."""
        return {**self.fields, "status": FAILED if self.fields["status"] == SUCCESS else SUCCESS}

    def line(self, _fields: dict[str, Any]) -> None:
        """Return no line: the gateway's statement lists payments."""


class RefundMaker:
    """Makes the refunds of payments.

    Args:
        feed: what makes ids and draws of this feed its own.
        share: of successful payments that are refunded, 0 to 1.
        within: the longest time to a refund, in milliseconds of event time.
    """

    def __init__(self, feed: str, share: float, within: int) -> None:
        self._hash = blake2b(f"{feed}|refunds|".encode(), digest_size=32)
        self._below = share * DRAW_RANGE
        self._within = within

    def of(self, payment: Payment, succeeded: int) -> list[Refund]:
        """Return the refunds of a payment that succeeded at a time; mostly none."""
        hashed = self._hash.copy()
        hashed.update(payment.fields["transaction_id"].encode())
        digest = hashed.digest()
        chosen, kind, part, delay, reason, pending, fails, wait = _DRAWS.unpack(digest[:16])
        if chosen >= self._below or payment.units <= 0 or succeeded > LATEST - 2 * self._within:
            return []
        units = _parts(payment.units, kind, part)
        first = min(HOUR, self._within // 4) + self._within * delay // (2 * DRAW_RANGE)
        found = []
        for number, amount in enumerate(units):
            at, draws = succeeded + max(1, first * (number + 1)), (reason + number, pending, fails, wait)
            found.append(self._refund(payment, f"R{digest[16:].hex()}{number:x}", amount, at, draws))
        return found

    def _refund(
        self, payment: Payment, refund_id: str, units: int, at: int, draws: tuple[int, int, int, int]
    ) -> Refund:
        reason, pending, fails, wait = draws
        final = FAILED if fails < FAILS_BELOW else SUCCESS
        starts_pending = pending < _STARTS_PENDING_BELOW
        fields = {
            "refund_id": refund_id,
            "transaction_id": payment.fields["transaction_id"],
            "amount": exact_amount(units),
            "currency": payment.currency,
            "reason": REASONS[reason % len(REASONS)],
            "status": PENDING if starts_pending else final,
            "timestamp": zoned_text(at, payment.zone),
            "customer_id": payment.fields["customer_id"],
            "merchant_name": payment.fields["merchant_name"],
        }
        after = 1 + self._within // 4 * wait // DRAW_RANGE
        key, zone = payment.key, payment.zone
        return Refund(key, fields, payment.currency, units, at, zone, final if starts_pending else None, after)


def _parts(units: int, kind: int, part: int) -> list[int]:
    """Return the amounts that are given back, in minor units; never more than was paid."""
    if kind < _WHOLE_BELOW or units < 3:
        return [units]
    some = 1 + (units - 2) * part // DRAW_RANGE
    if kind < _ONE_PART_BELOW:
        return [some]
    rest = units - some
    return [some, rest] if part % 2 or rest < 2 else [some, rest // 2]
