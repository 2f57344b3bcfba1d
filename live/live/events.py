"""From a Kafka message to what the live view counts: judged as the stream and silver judge it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from hashlib import md5
from typing import Any
from uuid import UUID

from contracts.model import Contract
from contracts.status_time import status_time
from contracts.verdict import judge, read_instant
from live.event_rules import python_rules
from live.trouble import is_about_an_event, trouble_of

LONGEST_HEADER = 200
_MINOR = Decimal("0.0001")
_STATUS_FIELDS = ("status", "failure_reason")

Headers = Sequence[tuple[str, bytes | None]]


class Kind(Enum):
    """What an event is by itself."""

    DEAD = "dead letter"
    REJECTED = "rejected"
    SOUND = "sound"
    UNJUDGED = "set aside: judging it failed"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event stands in the topic."""

    topic_id: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Event:
    """A message that was judged. Fields beyond kind are set for sound events only, but for redrive_of.

    Attributes:
        fields: the contract's fields as they came.
        identity_hash: as silver makes it: equal for all statuses of a payment.
        status_at: the header of that name where it can be true, else the arrival.
        trouble: why an UNJUDGED event could not be judged.
    """

    place: Place
    arrived_at: datetime
    kind: Kind
    redrive_of: str | None = None
    fields: Mapping[str, Any] | None = None
    amount: Decimal = Decimal(0)
    occurred_at: datetime | None = None
    utc_offset_minutes: int = 0
    status_at: datetime | None = None
    identity_hash: UUID | None = None
    trouble: str | None = None

    def text(self, name: str) -> str:
        """Return a field that a sound event always has."""
        return str((self.fields or {})[name])

    def maybe(self, name: str) -> str | None:
        """Return a field that may be null or absent."""
        return (self.fields or {}).get(name)


class Judge:
    """Judges messages by a contract."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._rules = python_rules(contract)
        self._checks = tuple(self._rules.values())
        self._identity = [field for field in contract.fields if field.name not in _STATUS_FIELDS]

    def event(self, place: Place, arrived_at: datetime, value: bytes | None, headers: Headers) -> Event:
        """Return the event of a message; never raises for what is in it."""
        try:
            return self._judged(place, arrived_at, value, headers)
        except Exception as error:
            if not is_about_an_event(error):
                raise
            return Event(place, arrived_at, Kind.UNJUDGED, trouble=trouble_of(error))

    def _judged(self, place: Place, arrived_at: datetime, value: bytes | None, headers: Headers) -> Event:
        verdict = judge(value, self._contract)
        if verdict.reasons or verdict.event is None or verdict.occurred_at is None:
            return Event(place, arrived_at, Kind.DEAD)
        redrive_of = header_text(headers, "redrive-of")
        fields = verdict.event
        for passes in self._checks:
            if not passes(fields, verdict, arrived_at):
                return Event(place, arrived_at, Kind.REJECTED, redrive_of)
        amount, offset = verdict.amount or Decimal(0), verdict.utc_offset_minutes or 0
        stated = read_instant(header_text(headers, "status_at") or "")
        return Event(
            place,
            arrived_at,
            Kind.SOUND,
            redrive_of,
            fields,
            amount,
            verdict.occurred_at,
            offset,
            status_time(stated[0] if stated else None, verdict.occurred_at, arrived_at),
            self._identity_hash(fields, amount, verdict.occurred_at, offset),
        )

    def broken_rules(self, value: bytes, arrived_at: datetime) -> list[str]:
        """Return the codes of the rules that a well-formed value breaks."""
        verdict = judge(value, self._contract)
        return [code for code, passes in self._rules.items() if not passes(verdict.event or {}, verdict, arrived_at)]

    def _identity_hash(self, fields: Mapping[str, Any], amount: Decimal, occurred_at: datetime, offset: int) -> UUID:
        parts = []
        for field in self._identity:
            if field.type == "decimal":
                text = format(amount.quantize(_MINOR), "f")
            elif field.type == "timestamp":
                text = f"{int(occurred_at.replace(microsecond=0).timestamp())}.{occurred_at.microsecond}/{offset}"
            elif field.type == "boolean":
                text = "true" if fields[field.name] else "false"
            else:
                value = fields.get(field.name)
                if value is None:
                    parts.append("-")
                    continue
                text = value
            parts.append(f"{len(text)}:{text}")
        return UUID(md5("".join(parts).encode(), usedforsecurity=False).hexdigest())


def header_text(headers: Headers, name: str) -> str | None:
    """Return the text of the first header of a name; None where it is absent, no UTF-8, too long or holds U+0000."""
    value = next((value for key, value in headers if key == name), None)
    if value is None or len(value) > LONGEST_HEADER or b"\0" in value:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return None
