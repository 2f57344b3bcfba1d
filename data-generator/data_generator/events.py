"""What is sent: one event a status."""

from typing import Final, NamedTuple

PAYMENT: Final = "payment"
SETTLEMENT: Final = "settlement"
RESEND: Final = "resend"


class Line(NamedTuple):
    """What the gateway's statement says of a payment: its day is the customer's own; the amount is in minor units."""

    day: str
    transaction_id: str
    units: int
    currency: str
    status: str


class Event(NamedTuple):
    """One Kafka message but for its feed id and number.

    Attributes:
        part: payment (the first status, also of a refund), settlement, or resend (a further copy, sent on purpose).
        status_at: event time of the status, ISO 8601 with a zone.
        currency: of the amount; None where the event is broken so that no amount can be counted.
        units: the amount in the currency's minor units.
        fault: what was broken on purpose, None for a sound event.
        line: for the gateway's statement; None where the event was broken or repeated on purpose, and for refunds.
        entity: whose topic and feed it goes to.
        row: of an event that was a row of a file, the line at which it begins there.
    """

    part: str
    key: bytes
    value: bytes | None
    status_at: str
    currency: str | None
    units: int
    fault: str | None
    line: Line | None = None
    entity: str = "transactions"
    row: int | None = None
