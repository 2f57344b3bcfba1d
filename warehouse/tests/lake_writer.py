"""Write a lake as the stream does, with delta-rs instead of Spark."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, write_deltalake

from contracts.entities import load_entity
from contracts.model import PAYMENTS, Entity
from core.lake import Lake, LakeTable
from core.layout import Layout
from core.settings import Settings

Event = Mapping[str, Any]
FIRST_ARRIVAL = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
_TYPES = {
    "STRING": pa.string(),
    "DECIMAL(20,4)": pa.decimal128(20, 4),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
}
_DELIVERY = [
    ("raw_value", pa.binary()),
    ("message_key", pa.binary()),
    ("headers", pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))),
    ("run", pa.string()),
    ("seq", pa.int64()),
    ("status_at", pa.timestamp("us", "UTC")),
    ("contract_version", pa.string()),
    ("redrive_of", pa.string()),
    ("topic_id", pa.string()),
    ("topic", pa.string()),
    ("partition", pa.int32()),
    ("offset", pa.int64()),
    ("arrived_at", pa.timestamp("us", "UTC")),
    ("year", pa.int32()),
    ("month", pa.int32()),
    ("day", pa.int32()),
]


def bronze_schema(entity: Entity) -> pa.Schema:
    """Return the schema of the lake's table of an entity's well-formed events."""
    fields = [(field.stored_as, _TYPES[field.spark_type]) for field in entity.fields]
    return pa.schema([*fields, ("utc_offset_minutes", pa.int32()), ("unknown_fields", pa.int32()), *_DELIVERY])


BRONZE_SCHEMA = bronze_schema(load_entity(PAYMENTS))
DEAD_LETTER_SCHEMA = pa.schema([("reasons", pa.list_(pa.string())), *_DELIVERY])


def payment(transaction_id: str = "t1", status: str = "SUCCESS", **other: Any) -> dict[str, Any]:
    """Return a well-formed event that passes every rule, with the given fields changed."""
    return {
        "transaction_id": transaction_id,
        "customer_id": "c1",
        "customer_name": "Asha Iyer",
        "customer_email": "asha.iyer@example.com",
        "merchant_name": "Rippin, Kub and Mann",
        "merchant_category": "grocery_pos",
        "amount": Decimal("107.23"),
        "payment_method": "UPI",
        "status": status,
        "failure_reason": "INSUFFICIENT_FUNDS" if status == "FAILED" else None,
        "occurred_at": datetime(2026, 11, 19, 8, 30, 0, 123456, tzinfo=UTC),
        "city": "Bengaluru",
        "state": "Karnataka",
        "country": "IN",
        "currency": "INR",
        "device_type": "mobile",
        "ip_address": "203.0.113.7",
        "is_fraud": False,
        "utc_offset_minutes": 330,
        "unknown_fields": 0,
        **other,
    }


def refund(refund_id: str = "r1", status: str = "SUCCESS", **other: Any) -> dict[str, Any]:
    """Return a refund that passes every rule, with the given fields changed."""
    return {
        "refund_id": refund_id,
        "transaction_id": "t1",
        "amount": Decimal("7.50"),
        "currency": "INR",
        "reason": "DAMAGED",
        "status": status,
        "occurred_at": datetime(2026, 11, 19, 20, 30, 0, 123456, tzinfo=UTC),
        "customer_id": "c1",
        "merchant_name": "Rippin, Kub and Mann",
        "utc_offset_minutes": 330,
        "unknown_fields": 0,
        **other,
    }


def dead_letter(*reasons: str, **other: Any) -> dict[str, Any]:
    """Return an event that the stream could not read."""
    return {"reasons": list(reasons or ("MALFORMED_JSON",)), "raw_value": b"{", **other}


def local_lake(layout: Layout) -> Lake:
    """Return the lake that a home has without any setting."""
    return Lake.of(Settings(), layout)


class LakeWriter:
    """The two tables of an entity: hands out offsets, commits batches, dead letters first.

    Args:
        lake: the lake, or the layout of a home that has its own.
        entity: whose events; the payments without it.
    """

    def __init__(
        self, lake: Lake | Layout, topic_id: str = "sMHcCAVMSGyb_J6xbxrUwA", entity: Entity | None = None
    ) -> None:
        self.lake = lake if isinstance(lake, Lake) else local_lake(lake)
        self.entity = entity or load_entity(PAYMENTS)
        self._topic_id = topic_id
        self._next: dict[int, int] = {}
        self._clock = FIRST_ARRIVAL

    @property
    def bronze(self) -> LakeTable:
        return self.lake.table(self.entity.bronze)

    @property
    def dead_letters(self) -> LakeTable:
        return self.lake.table(self.entity.dead_letters)

    def deliver(self, events: Sequence[Event]) -> list[dict[str, Any]]:
        """Return events with coordinates and arrival, as Kafka gives them; those that an event states are kept."""
        delivered = []
        for event in events:
            partition = event.get("partition", 0)
            offset = self._next.get(partition, 0)
            self._next[partition] = offset + 1
            self._clock += timedelta(milliseconds=1)
            arrived_at = event.get("arrived_at", self._clock)
            coordinates = {
                "topic_id": self._topic_id,
                "topic": self.entity.topic.name,
                "partition": partition,
                "offset": offset,
            }
            day = {"year": arrived_at.year, "month": arrived_at.month, "day": arrived_at.day}
            delivered.append({"raw_value": b"{}", **event, **coordinates, "arrived_at": arrived_at, **day})
        return delivered

    def commit(self, events: Sequence[Event], **changed: Any) -> None:
        """Deliver events and write them as one batch.

        Args:
            events: well-formed ones, and dead letters among them.
            changed: entries of the recorded metadata of bronze to be written other than they are.
        """
        start = dict(self._next)
        delivered = self.deliver(events)
        start = {partition: start.get(partition, 0) for partition in self._next}
        self.write(self.dead_letters, delivered, start, dict(self._next))
        self.write(self.bronze, delivered, start, dict(self._next), changed)

    def rewind(self, partition: int, offset: int) -> None:
        """Deliver from an offset again, as after a stream that was killed between its two commits."""
        self._next[partition] = offset

    def begin(self, instead_of: str, reason: str) -> None:
        """Begin with another topic, as `tieout stream --accept-topic` does: a commit a table, without a row."""
        self._next.setdefault(0, 0)
        begins = {"begins": True, "accepted": {"instead_of": instead_of, "reason": reason}}
        for table in (self.dead_letters, self.bronze):
            self.write(table, [], dict(self._next), dict(self._next), begins)

    def lose(self, partition: int, count: int, reason: str, tables: Sequence[LakeTable] = ()) -> None:
        """Skip offsets that retention took, as `tieout stream --accept-loss` does: a commit a table, without a row."""
        start = dict(self._next)
        begin = start.setdefault(partition, 0)
        self._next[partition] = begin + count
        lost = [{"partition": partition, "from": begin, "to": begin + count, "reason": reason}]
        for table in tables or (self.dead_letters, self.bronze):
            self.write(table, [], start, dict(self._next), {"lost": lost})

    def write(
        self,
        table: LakeTable,
        delivered: Sequence[Event],
        start: dict[int, int],
        end: dict[int, int],
        changed: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one commit of one table, empty ones too.

        Args:
            table: bronze or dead letters.
            delivered: events with coordinates; each table takes its own.
            start: first offset by partition.
            end: offset behind the last one.
            changed: entries of the recorded metadata to be written other than they are.
        """
        dead = table == self.dead_letters
        rows = [event for event in delivered if ("reasons" in event) == dead]
        schema = DEAD_LETTER_SCHEMA if dead else bronze_schema(self.entity)
        data = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema)
        recorded = {"tieout": 1, "topic_id": self._topic_id, "topic": self.entity.topic.name, "rows": len(rows)}
        recorded |= {"start": {str(p): o for p, o in start.items()}, "end": {str(p): o for p, o in end.items()}}
        recorded |= dict(changed or {})
        write_deltalake(
            table.uri,
            data,
            mode="append",
            partition_by=["year", "month", "day"],
            configuration={"delta.dataSkippingStatsColumns": "partition,offset,arrived_at"},
            storage_options=table.storage_options or None,
            commit_properties=CommitProperties(
                custom_metadata={"userMetadata": json.dumps(recorded | dict(changed or {}))}
            ),
        )
