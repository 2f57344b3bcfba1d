"""The control total of a feed, as it travels on its sender's topic of control totals.

Who writes a feed also writes, every ten seconds and at its end, what it has sent: the proof compares that with what
arrived. A total is cumulative: the newest one of a feed says all that the ones before it said.

A Kafka record does not name its sender. So each sending user has a topic that it alone may write, and the id of a feed
begins with its sender's name and a hyphen, such as gateway-20261130T101500Z-1f2e3d4c.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from contracts.entities import entity_names, load_platform
from contracts.model import PAYMENTS

VERSION = 1
SECONDS_BETWEEN = 10.0
LONGEST_RUN = 200
# A total is kept whole: these bound what one message can make of a row.
MOST_PARTITIONS = 1_000
MOST_KINDS = 100
LONGEST_NAME = 100
# Of a file: a path or an address.
LONGEST_FILE_NAME = 1_024
# Feeds whose id begins with no sender's name, such as those of before: they are the gateway's.
GATEWAY = "gateway"
# The payments' `Entity.no_feed`; that of refunds is "(none refunds)". A feed has no such id.
NO_FEED = "(none)"


class ControlTotalError(ValueError):
    """Bytes on the control topic are no control total."""


@dataclass(frozen=True)
class Money:
    """Events of one currency: how many, and their exact sum in major units."""

    count: int = 0
    amount: Decimal = Decimal(0)

    def __add__(self, other: "Money") -> "Money":
        return Money(self.count + other.count, self.amount + other.amount)


Amounts = Mapping[str, Money]


@dataclass(frozen=True)
class Rows:
    """Rows of a file: how many, and the money of those whose amount can be read."""

    count: int = 0
    amounts: Amounts = field(default_factory=dict)

    @property
    def without_amount(self) -> int:
        """Rows that no currency counts."""
        return self.count - sum(money.count for money in self.amounts.values())


@dataclass(frozen=True)
class FileTotal:
    """What the file with this name and hash holds that a feed is made of.

    Attributes:
        rows: all of them; those that are in neither of the others were sent.
        refused: those that cannot be sent; they are kept in the warehouse.
        left_out: those that the mapping calls no events.
    """

    name: str
    sha256: str
    rows: Rows
    refused: Rows = Rows()
    left_out: Rows = Rows()

    def as_json(self) -> dict[str, object]:
        """Return it as a control total holds it."""
        parts = {"rows": self.rows, "refused": self.refused, "left_out": self.left_out}
        held = {name: {"count": part.count, "amounts": amounts_as_json(part.amounts)} for name, part in parts.items()}
        return {"name": self.name, "sha256": self.sha256, **held}


@dataclass(frozen=True)
class ControlTotal:
    """What a feed has sent so far.

    Attributes:
        run: the feed's id, the header `run` of its events.
        seq: the broker has acknowledged the events 1 to seq, all of them; so it is their count too.
        closed: no event with a higher number will ever come.
        amounts: by currency of the contract, those meant to be well-formed; None when the feed vouches for the number
            of its events only (a redrive does not know what its letters will turn out to be).
        broken: events broken on purpose, by kind.
        last_offsets: the last acknowledged offset by partition; whoever has read beyond them has read the feed.
        topic_id: Kafka's id of the topic of the events, None when the feed could not learn it.
        contract: version of the contract.
        sent_at: when the total was made, with a zone.
        entity: what the feed's events are; a total of before names none, and is of payments.
        file: what the file holds that the feed is made of; None where it is made of none.
    """

    run: str
    seq: int
    closed: bool
    amounts: Amounts | None
    last_offsets: Mapping[int, int]
    broken: Mapping[str, int] = field(default_factory=dict)
    topic_id: str | None = None
    contract: str = ""
    sent_at: datetime | None = None
    entity: str = PAYMENTS
    file: FileTotal | None = None

    @property
    def without_amount(self) -> int:
        """Events that no currency counts: malformed ones, and those in a currency outside the contract."""
        return self.seq - sum(money.count for money in (self.amounts or {}).values())

    @property
    def key(self) -> bytes:
        """The message's key: the feed."""
        return self.run.encode()

    def value(self) -> bytes:
        """Return the message's value: JSON, amounts as text."""
        held = {
            "control_total": VERSION,
            "run": self.run,
            "entity": self.entity,
            "seq": self.seq,
            "closed": self.closed,
            "amounts": None if self.amounts is None else amounts_as_json(self.amounts),
            "broken": dict(sorted(self.broken.items())),
            "last_offsets": {str(partition): offset for partition, offset in sorted(self.last_offsets.items())},
            "topic_id": self.topic_id,
            "contract": self.contract,
            "sent_at": (self.sent_at or datetime.now(UTC)).isoformat(),
            **({"file": self.file.as_json()} if self.file else {}),
        }
        return json.dumps(held).encode()


def sender_of(run: str, senders: Iterable[str]) -> str:
    """Return the user whose control totals count for a feed: its id begins with the user's name and a hyphen."""
    named = [sender for sender in senders if run.startswith(f"{sender}-")]
    return max(named, key=len, default=GATEWAY)


def amounts_as_json(amounts: Amounts) -> dict[str, dict[str, int | str]]:
    """Return count and exact amount (text) by currency."""
    return {c: {"count": m.count, "amount": f"{m.amount:f}"} for c, m in sorted(amounts.items())}


def amounts_from_json(held: Mapping[str, Mapping[str, int | str]]) -> dict[str, Money]:
    """Return the opposite of amounts_as_json.

    Raises:
        ControlTotalError: it is not of that form.
    """
    try:
        return {_text(c): Money(_whole(m["count"]), _amount(m["amount"])) for c, m in held.items()}
    except (KeyError, TypeError, AttributeError, InvalidOperation) as error:
        raise ControlTotalError(f"amounts: {error!r}") from None


def sum_amounts(parts: Iterable[Amounts]) -> dict[str, Money]:
    """Return the sum by currency."""
    total: dict[str, Money] = {}
    for part in parts:
        for currency, money in part.items():
            total[currency] = total.get(currency, Money()) + money
    return total


def parse_control_total(value: bytes | None) -> ControlTotal:
    """Read a message of the control topic.

    Raises:
        ControlTotalError: it is none, contradicts itself, or names a currency outside the contract.
    """
    try:
        held = json.loads(value or b"")
        if held["control_total"] != VERSION:
            raise ControlTotalError(f"version {held['control_total']!r} is not known here")
        amounts, topic_id = held["amounts"], held["topic_id"]
        total = ControlTotal(
            run=_text(held["run"]),
            seq=_whole(held["seq"]),
            closed=held["closed"] is True,
            amounts=None if amounts is None else amounts_from_json(amounts),
            last_offsets={_partition(number): _whole(offset) for number, offset in held["last_offsets"].items()},
            broken={_name(kind): _whole(count) for kind, count in held["broken"].items()},
            topic_id=None if topic_id is None else _name(topic_id),
            contract=_name(held["contract"]),
            sent_at=_moment(held["sent_at"]),
            entity=_name(held.get("entity", PAYMENTS)),
            file=None if held.get("file") is None else file_from_json(held["file"]),
        )
    except ControlTotalError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ControlTotalError(f"no control total: {type(error).__name__} {error}") from None
    _check(total)
    return total


def file_from_json(held: Mapping[str, Any]) -> FileTotal:
    """Return the opposite of FileTotal.as_json.

    Raises:
        ControlTotalError: it is not of that form, or does not add up.
    """
    try:
        name, sha256 = _text(held["name"]), _name(held["sha256"])
        parts = {
            part: Rows(_whole(held[part]["count"]), amounts_from_json(held[part]["amounts"]))
            for part in ("rows", "refused", "left_out")
        }
    except (KeyError, TypeError) as error:
        raise ControlTotalError(f"file: {error!r}") from None
    total = FileTotal(name, sha256, **parts)
    apart = total.refused.count + total.left_out.count
    if not 0 < len(name) <= LONGEST_FILE_NAME or apart > total.rows.count:
        raise ControlTotalError("its file does not add up, or has too long a name")
    if any(part.without_amount < 0 or set(part.amounts) - set(load_platform().currencies) for part in parts.values()):
        raise ControlTotalError("its file has more amounts than rows, or a currency that is not in the contract")
    return total


def _check(total: ControlTotal) -> None:
    if total.file is not None and total.seq > total.file.rows.count - total.file.refused.count:
        raise ControlTotalError("more events than rows of its file that were sent")
    if not 0 < len(total.run) <= LONGEST_RUN or total.run == NO_FEED or total.run.startswith("(none "):
        raise ControlTotalError(f"a run of {len(total.run)} characters is no feed's id")
    if total.entity not in entity_names():
        raise ControlTotalError("no contract is of its entity")
    if total.without_amount < 0:
        raise ControlTotalError("more events with an amount than events")
    if set(total.amounts or {}) - set(load_platform().currencies):
        raise ControlTotalError("a currency is not in the contract")
    if len(total.last_offsets) > MOST_PARTITIONS or len(total.broken) > MOST_KINDS:
        raise ControlTotalError("more partitions or kinds than a feed has")


def _whole(number: object) -> int:
    # What JSON's readers agree on, and whose sums a database keeps in eight bytes.
    if type(number) is not int or not 0 <= number < 2**53:
        raise ControlTotalError(f"{number!r} is no count")
    return number


def _partition(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**31:
        raise ControlTotalError(f"{text!r} is no partition")
    return number


def _amount(text: object) -> Decimal:
    """Return an amount that the books hold exactly: numeric(38,4)."""
    amount = Decimal(_text(text))
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or not -4 <= exponent <= 0 or amount.adjusted() >= 34:
        raise ControlTotalError(f"{text!r} is no amount")
    return amount


def _name(text: object) -> str:
    name = _text(text)
    if len(name) > LONGEST_NAME:
        raise ControlTotalError(f"a name of {len(name)} characters")
    return name


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ControlTotalError("sent_at has no zone")
    return moment.astimezone(UTC)


def _text(text: object) -> str:
    """Return text that any database can keep: JSON also knows the character 0, and halves of a pair."""
    if not isinstance(text, str) or "\0" in text:
        raise ControlTotalError(f"{text!r} is no text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ControlTotalError(f"{text!r} is no text") from None
    return text
