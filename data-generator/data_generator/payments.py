"""One payment: its eighteen fields and how it will go. Pure: the same draws give the same payment."""

from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from typing import Any, ClassVar, Final

from orjson import Fragment

from data_generator.card_row import CardRow
from data_generator.cards import CardHolders
from data_generator.clock import INDIA_ZONE, UTC_ZONE, zoned_text
from data_generator.events import Line
from data_generator.money import amount_text
from data_generator.outcomes import (
    DRAW_RANGE,
    FAILED,
    FAILS_BELOW,
    INDIAN_METHODS,
    PENDING,
    STARTS_PENDING_BELOW,
    SUCCESS,
    device,
    failure_reason,
)
from data_generator.world import World

USD, INR = "USD", "INR"
FRAUD_IN: Final = 200  # one made payment in so many is a fraud, as in the card data

# An id of 16 bytes and 16 bytes to draw from, out of one hash.
_DRAWS: Final = Struct("<16sIHHHHHH")
_METHODS: Final = tuple(method for method, percent in INDIAN_METHODS for _ in range(percent))
_START: Final = blake2b(digest_size=_DRAWS.size)


@dataclass(slots=True)
class Payment:
    """A payment before it is sent.

    Attributes:
        fields: the event's fields in the contract's order, with the first status; the amount is exact JSON text.
        settles_as: the final status where the first one is PENDING, else None.
        settles_after: milliseconds of event time to the final status.
        units: the amount in minor units of `currency`, which has two digits in both countries.
    """

    key: bytes
    fields: dict[str, Any]
    currency: str
    units: int
    occurred: int
    zone: int
    settles_as: str | None
    settles_reason: str | None
    settles_after: int
    entity: ClassVar[str] = "transactions"

    def settlement(self) -> dict[str, Any]:
        """Return the fields of the final status: all the same but status and failure reason."""
        return {**self.fields, "status": self.settles_as, "failure_reason": self.settles_reason}

    def begin_pending(self) -> None:
        """Let a payment with a final status begin PENDING, and settle as it was."""
        self.settles_as, self.settles_reason = self.fields["status"], self.fields["failure_reason"]
        self.fields = {**self.fields, "status": PENDING, "failure_reason": None}

    def end_at_once(self) -> None:
        """Let a PENDING payment have its final status from the beginning."""
        self.fields, self.settles_as = self.settlement(), None

    def contradiction(self) -> dict[str, Any]:
        """Return the fields with the other final status."""
        if self.fields["status"] == SUCCESS:
            return {**self.fields, "status": FAILED, "failure_reason": failure_reason(self.fields["payment_method"], 0)}
        return {**self.fields, "status": SUCCESS, "failure_reason": None}

    def line(self, fields: dict[str, Any]) -> Line:
        """Return what the gateway's statement says of one of its statuses."""
        return Line(fields["timestamp"][:10], fields["transaction_id"], self.units, self.currency, fields["status"])


def exact_amount(units: int) -> Fragment:
    """Return an amount of a two-digit currency as JSON number text."""
    return Fragment(amount_text(units, 2))


class PaymentMaker:
    """Makes payments out of hashes of (feed, kind, number), so that each is independent of all others.

    Args:
        feed: what makes ids and draws of this feed its own, such as seed and start.
        settle_within: the longest time to a settlement, in milliseconds of event time.
    """

    def __init__(self, feed: str, world: World, holders: CardHolders, settle_within: int) -> None:
        self._replay = blake2b(f"{feed}|replay|".encode(), digest_size=_DRAWS.size)
        self._made = blake2b(f"{feed}|made|".encode(), digest_size=_DRAWS.size)
        self._world = world
        self._holders = holders
        self._settle_within = settle_within

    def replayed(self, row: CardRow, loop: int, occurred: int) -> Payment:
        """Return a payment of a file's row, with an id of its own and another time."""
        hashed = self._replay.copy()
        hashed.update(b"%d|%d" % (loop, row.line))
        digest = hashed.digest()
        return self._card_payment(row, digest, digest[:16].hex(), occurred)

    def original(self, row: CardRow) -> Payment:
        """Return a payment of a file's row as the file has it: its id and time, whatever the feed."""
        hashed = _START.copy()
        hashed.update(row.trans_num.encode())
        return self._card_payment(row, hashed.digest(), row.trans_num, row.occurred)

    def _card_payment(self, row: CardRow, digest: bytes, transaction_id: str, occurred: int) -> Payment:
        _, _, pending, fails, reason, delay, device_draw, _ = _DRAWS.unpack(digest)
        holder = self._holders.of(row)
        status, failure, final, final_reason = _course(holder.method, pending, fails, reason)
        fields = {
            "transaction_id": transaction_id,
            "customer_id": holder.customer_id,
            "customer_name": holder.name,
            "customer_email": holder.email,
            "merchant_name": row.merchant,
            "merchant_category": row.category,
            "amount": exact_amount(row.cents),
            "payment_method": holder.method,
            "status": status,
            "failure_reason": failure,
            "timestamp": zoned_text(occurred, UTC_ZONE),
            "city": row.city,
            "state": row.state,
            "country": "US",
            "currency": USD,
            "device_type": device(row.category, holder.method, device_draw),
            "ip_address": holder.ip_address,
            "is_fraud": row.is_fraud,
        }
        after = self._settles_after(delay)
        return Payment(holder.key, fields, USD, row.cents, occurred, UTC_ZONE, final, final_reason, after)

    def made(self, number: int, occurred: int) -> Payment:
        """Return a made-up payment of an Indian customer."""
        hashed = self._made.copy()
        hashed.update(b"%d" % number)
        digest = hashed.digest()
        _, big, pending, fails, reason, delay, device_draw, choice = _DRAWS.unpack(digest)
        world = self._world
        customer = world.customers[big % len(world.customers)]
        merchant = world.merchants[(big >> 12) % len(world.merchants)]
        method = _METHODS[choice % len(_METHODS)]
        # The cube leaves most payments small, as they are.
        share = (digest[0] << 8 | digest[1]) / DRAW_RANGE
        units = merchant.smallest + int((merchant.largest - merchant.smallest) * share * share * share)
        status, failure, final, final_reason = _course(method, pending, fails, reason)
        fields = {
            "transaction_id": digest[:16].hex(),
            "customer_id": customer.customer_id,
            "customer_name": customer.name,
            "customer_email": customer.email,
            "merchant_name": merchant.name,
            "merchant_category": merchant.category,
            "amount": exact_amount(units),
            "payment_method": method,
            "status": status,
            "failure_reason": failure,
            "timestamp": zoned_text(occurred, INDIA_ZONE),
            "city": customer.city,
            "state": customer.state,
            "country": "IN",
            "currency": INR,
            "device_type": device(merchant.category, method, device_draw),
            "ip_address": customer.ip_address,
            "is_fraud": (digest[2] << 8 | digest[3]) % FRAUD_IN == 0,
        }
        after = self._settles_after(delay)
        return Payment(customer.key, fields, INR, units, occurred, INDIA_ZONE, final, final_reason, after)

    def _settles_after(self, draw: int) -> int:
        # The square makes early settlements the usual ones.
        return 1 + self._settle_within * draw * draw // (DRAW_RANGE * DRAW_RANGE)


def _course(method: str, pending: int, fails: int, reason: int) -> tuple[str, str | None, str | None, str | None]:
    """Return first status with its failure reason, then the final status and reason where the first is PENDING."""
    final, why = (FAILED, failure_reason(method, reason)) if fails < FAILS_BELOW else (SUCCESS, None)
    if pending < STARTS_PENDING_BELOW:
        return PENDING, None, final, why
    return final, why, None, None
