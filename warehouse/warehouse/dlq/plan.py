"""What is sent for a letter, and what will become of it: the message, its headers, and the strict parser's verdict."""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID, uuid4

from contracts.model import Entity
from contracts.verdict import judge
from core.errors import TieoutError
from warehouse.dlq.lake import Letter
from warehouse.dlq.selection import NOTHING, Coordinates

# Room for headers and the broker's own framing.
FRAMING_BYTES = 1_024


class Message(NamedTuple):
    """A message as it is sent, and sent again: the same bytes and headers."""

    redrive_id: UUID
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True)
class Intent:
    """What a redrive is about to do with one letter.

    Attributes:
        redrive_of: the header: partition:offset; of a former topic with its id behind it.
        seq: number within the feed.
        expected: the reasons for which the stream will call it malformed; empty when it is well-formed.
        currency: with the amount, where it is well-formed and its currency is the contract's.
    """

    redrive_id: UUID
    letter: Letter
    book: str
    redrive_of: str
    run: str
    seq: int
    is_changed: bool
    expected: tuple[str, ...]
    currency: str | None
    amount: Decimal | None
    key: bytes | None
    contract_version: str

    def message(self) -> Message:
        """Return what goes to the topic."""
        return make_message(self)


def make_message(intent: Intent) -> Message:
    """Return an intent's message."""
    headers = headers_of(intent.run, intent.seq, intent.letter.status_at, intent.contract_version, intent.redrive_of)
    return Message(intent.redrive_id, intent.key, intent.letter.value, headers)


def headers_of(run: str, seq: int, status_at: str, contract_version: str, redrive_of: str) -> list[tuple[str, bytes]]:
    """Return the headers of a redriven event."""
    named = {
        "run": run,
        "seq": str(seq),
        "status_at": status_at,
        "contract": contract_version,
        "redrive-of": redrive_of,
    }
    return [(name, text.encode()) for name, text in named.items()]


def redrive_of(place: Coordinates, topic_id: str) -> str:
    """Return the header that names a letter: another topic's offsets are other letters."""
    return str(place) if place.topic_id == topic_id else f"{place}@{place.topic_id}"


@dataclass
class Planner:
    """Numbers the letters of one feed."""

    run: str
    topic_id: str
    entity: Entity
    seq: int = 0

    def plan(self, letter: Letter, book: str, *, is_changed: bool) -> Intent:
        """Return the intent for a letter.

        Raises:
            TieoutError: it is larger than the broker takes.
        """
        verdict = judge(letter.value, self.entity)
        event = verdict.event or {}
        named, currency = event.get(self.entity.message_key), event.get(self.entity.currency)
        key = named.encode() if isinstance(named, str) and named else letter.key
        self._check_size(letter, key)
        self.seq += 1
        known = currency in self.entity.currencies and verdict.amount is not None
        return Intent(
            redrive_id=uuid4(),
            letter=letter,
            book=book,
            redrive_of=redrive_of(letter.place, self.topic_id),
            run=self.run,
            seq=self.seq,
            is_changed=is_changed,
            expected=tuple(sorted(verdict.reasons)),
            currency=currency if known else None,
            amount=verdict.amount if known else None,
            key=key,
            contract_version=self.entity.version,
        )

    def _check_size(self, letter: Letter, key: bytes | None) -> None:
        size = len(letter.value or b"") + len(key or b"")
        limit = self.entity.topic.max_message_bytes - FRAMING_BYTES
        if size > limit:
            raise TieoutError(
                f"letter {letter.place} has {size:,} bytes; with its headers the broker takes {limit:,}.",
                f"of this page {NOTHING}",
                "make it shorter (dlq export, redrive --from FILE) or write it off",
            )
