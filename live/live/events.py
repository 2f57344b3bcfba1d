# ruff: noqa: S608  (column names and conditions come from the contract)
"""From Kafka messages to what the live view counts, a poll at a time: judged as stream and loader judge them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

import duckdb
import pyarrow as pa

from contracts.headers import HEADERS, header_columns
from contracts.judge import UTC_TIME, Judge
from contracts.model import Entity
from contracts.rules import HAS_FEED, judged_sql
from live.trouble import is_about_an_event, trouble_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A poll with more bytes of values is judged in parts. DuckDB holds some twenty times as much for a moment.
PART_BYTES = 8 << 20

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


class Message(NamedTuple):
    """What the broker delivered."""

    place: Place
    arrived_at: datetime
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Event:
    """A message that was judged. What follows reasons is set for rejected and sound events only.

    Attributes:
        reasons: the codes of what is wrong with a dead letter or of the rules that a rejected event breaks.
        redrive_of: the dead letter that it is, sent again.
        feed: the feed within which it has the number seq; None where it is in none.
        fields: the contract's texts and booleans by name.
        identity_hash: as silver has it: equal for all statuses of a payment.
        status_at: the header of that name where it can be true, else the arrival.
        trouble: why an UNJUDGED event could not be judged.
    """

    place: Place
    arrived_at: datetime
    kind: Kind
    reasons: tuple[str, ...] = ()
    redrive_of: str | None = None
    feed: str | None = None
    seq: int = 0
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

    def maybe(self, name: str) -> Any:
        """Return a field that may be null or absent."""
        return (self.fields or {}).get(name)


class EventReader:
    """Reads messages as events: what is malformed by the contract's judge, the rest by silver's SQL in DuckDB."""

    def __init__(self, entity: Entity) -> None:
        self._judge = Judge(entity)
        fields = [field for field in entity.fields if field.type in ("string", "boolean")]
        self._names = [field.name for field in fields]
        self._silver = _Silver(entity, [field.stored_as for field in fields])

    def read(self, messages: Sequence[Message]) -> list[Event]:
        """Return the events of messages, in their order; never raises for what is in one of them.

        Messages that cannot be judged together are halved, until the one is found that cannot be judged by itself.
        """
        try:
            if len(messages) == 1 or sum(len(each.value or b"") for each in messages) <= PART_BYTES:
                return list(self._read_together(messages))
        except Exception as error:
            self._silver.close()  # DuckDB may not go on after an error
            if len(messages) == 1:
                if not is_about_an_event(error):
                    raise
                return [Event(messages[0].place, messages[0].arrived_at, Kind.UNJUDGED, trouble=trouble_of(error))]
        middle = len(messages) // 2
        return self.read(messages[:middle]) + self.read(messages[middle:])

    def close(self) -> None:
        """Let the database of this process go."""
        self._silver.close()

    def _read_together(self, messages: Sequence[Message]) -> Iterable[Event]:
        judged = self._judge.judge(pa.array([each.value for each in messages], pa.binary()))
        delivered = pa.table(
            {
                **dict(zip(judged.columns.schema.names, judged.columns, strict=True)),
                **header_columns(pa.array([each.headers for each in messages], HEADERS)),
                "arrived_at": pa.array([each.arrived_at for each in messages], UTC_TIME),
            }
        )
        rows = iter(self._silver.ask(delivered.filter(judged.is_sound).drop_columns(["reasons"])))
        found = []
        for message, reasons in zip(messages, judged.columns["reasons"].to_pylist(), strict=True):
            if reasons:
                found.append(Event(message.place, message.arrived_at, Kind.DEAD, tuple(reasons)))
            else:
                found.append(self._event(message, next(rows)))
        return found

    def _event(self, message: Message, row: tuple[Any, ...]) -> Event:
        broken, redrive_of, feed, seq, amount, occurred_at, utc_offset_minutes, status_at, identity, *values = row
        return Event(
            message.place,
            message.arrived_at,
            Kind.REJECTED if broken else Kind.SOUND,
            tuple(broken.split(",")) if broken else (),
            redrive_of,
            feed,
            seq or 0,
            dict(zip(self._names, values, strict=True)),
            amount,
            EPOCH + timedelta(microseconds=occurred_at),
            utc_offset_minutes,
            EPOCH + timedelta(microseconds=status_at),
            UUID(bytes=identity),
        )


class _Silver:
    """Silver's SQL over events, in a DuckDB of this process, planned once: planning costs more than a small poll."""

    def __init__(self, entity: Entity, columns: Iterable[str]) -> None:
        self._query = f"""
            select reasons, redrive_of, case when {HAS_FEED} then run end, seq, amount, epoch_us(occurred_at),
                utc_offset_minutes, epoch_us(status_at), identity_hash, {", ".join(columns)}
            from ({judged_sql(entity)})
        """
        self._delivered = _Delivered()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def ask(self, delivered: pa.Table) -> list[tuple[Any, ...]]:
        """Return the query's rows, one an event, in their order."""
        if not len(delivered):
            return []
        self._delivered.table = delivered
        if self._connection is None:
            self._connection = self._open()
        rows: list[tuple[Any, ...]] = self._connection.execute("execute silver").fetchall()
        if len(rows) != len(delivered):
            raise ValueError(f"silver's SQL made {len(rows)} rows of {len(delivered)} events")
        return rows

    def close(self) -> None:
        """Let the database go; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        # One thread, and the order of the events is kept. Nothing is ever written to disk.
        for name, value in {"timezone": "UTC", "threads": 1, "temp_directory": "", "memory_limit": "512MB"}.items():
            connection.execute(f"set {name} = '{value}'")
        connection.execute("set autoinstall_known_extensions = false")
        connection.register("delivered", self._delivered)
        connection.execute(f"prepare silver as {self._query}")
        return connection


class _Delivered:
    """The events that are asked about. DuckDB reads them by Arrow's C interface each time that it runs the query."""

    table: pa.Table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)
