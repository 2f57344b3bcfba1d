"""Peer: a loop of confluent-kafka, msgspec, Arrow and delta-rs, with the same validation and the same columns."""

import json
import re
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pyarrow as pa
from confluent_kafka import OFFSET_BEGINNING, TIMESTAMP_NOT_AVAILABLE, Consumer, TopicPartition
from deltalake import CommitProperties, Transaction, WriterProperties, write_deltalake

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
INEXACT = re.compile(rb'"amount": ?("|-?[0-9.]+[eE])')
DAY = ["year", "month", "day"]
BATCH = 200_000


def main() -> None:
    """Drain the topic into two tables."""
    told = json.loads(sys.stdin.read())
    begun = time.perf_counter()
    loop = Loop(told)
    rows = loop.drain()
    seconds = time.perf_counter() - begun
    loop.consumer.close()
    sys.stdout.write(json.dumps({"seconds": seconds, "rows": rows}) + "\n")


class Loop:
    """One drain."""

    def __init__(self, told: dict) -> None:  # type: ignore[type-arg]
        self.told = told
        self.fields = told["fields"]
        self.names = [name for name, *_ in self.fields]
        self.digits = told["digits"]
        kinds = {"decimal": Decimal, "boolean": bool}
        shape = [
            (name, kinds.get(kind, str)) if structural else (name, kinds.get(kind, str) | None, None)
            for name, kind, structural in sorted(self.fields, key=lambda field: not field[2])
        ]
        self.decode = msgspec.json.Decoder(msgspec.defstruct("Event", shape)).decode
        self.consumer = Consumer(
            told["login"]
            | {"group.id": "stream-bench", "enable.auto.commit": False, "isolation.level": "read_committed"}
        )
        self.commits = 0

    def drain(self) -> int:
        """Take all that the topic holds now."""
        topic = self.told["topic"]
        numbers = sorted(self.consumer.list_topics(topic, timeout=20).topics[topic].partitions)
        ends = [self.consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=20)[1] for n in numbers]
        self.consumer.assign([TopicPartition(topic, n, OFFSET_BEGINNING) for n in numbers])
        done, waiting = 0, []
        while done + len(waiting) < sum(ends):
            missing = sum(ends) - done - len(waiting)  # asked for more, it waits for them
            waiting += self.consumer.consume(min(10_000, missing), timeout=5)
            if len(waiting) >= BATCH or done + len(waiting) == sum(ends):
                self.write(waiting)
                done, waiting = done + len(waiting), []
        return done

    def write(self, messages: list) -> None:  # type: ignore[type-arg]
        """Judge a batch and commit it: dead letters first, then bronze."""
        good, events, bad, reasons = [], [], [], []
        for message in messages:
            event, reason = self.judge(message.value())
            if reason is None:
                good.append(message)
                events.append(event)
            else:
                bad.append(message)
                reasons.append([reason])
        self.commits += 1
        dead = {"reasons": pa.array(reasons, pa.list_(pa.string())), **self.delivery(bad)}
        self.append("dead_letter_queue", pa.table(dead))
        self.append("raw_transactions", pa.table({**self.columns(events), **self.delivery(good)}))

    def judge(self, value: bytes | None) -> tuple:  # type: ignore[type-arg]
        """Return the event and None, or None and why it is malformed."""
        if value is None or len(value) > self.told["max_bytes"]:
            return None, "NULL_VALUE" if value is None else "VALUE_TOO_LARGE"
        try:
            event = self.decode(value)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
            return None, "MALFORMED_JSON"
        wrong = self.what_is_wrong(event, value)
        return (None, wrong) if wrong else (event, None)

    def what_is_wrong(self, event: msgspec.Struct, value: bytes) -> str | None:
        """Return the first rule that the decoder does not know and the event breaks."""
        if b"\\u0000" in value:
            return "NUL_CHARACTER"
        if value.count(b'":') != len(self.names) and self.repeats_a_key(value):
            return "DUPLICATE_KEY"
        if ISO.fullmatch(event.timestamp) is None or instant(event.timestamp) is None:
            return "TIMESTAMP_FORMAT"
        return self.what_is_wrong_with_money(event, value)

    def what_is_wrong_with_money(self, event: msgspec.Struct, value: bytes) -> str | None:
        """Return the rule of the amount that is broken."""
        if INEXACT.search(value):
            return "AMOUNT_INEXACT"
        _, digits, exponent = event.amount.normalize().as_tuple()
        if len(digits) + exponent > self.told["integer_digits"]:
            return "AMOUNT_OVERFLOW"
        return "AMOUNT_SCALE" if -exponent > self.digits.get(event.currency, self.told["unknown_digits"]) else None

    @staticmethod
    def repeats_a_key(value: bytes) -> bool:
        """Say whether the object has two equal keys."""
        found = json.loads(value, object_pairs_hook=lambda pairs: len(pairs) != len(dict(pairs)))
        return found is True

    def columns(self, events: list) -> dict:  # type: ignore[type-arg]
        """Return the events' fields as Arrow columns."""
        kinds = {"decimal": pa.decimal128(20, 4), "boolean": pa.bool_(), "timestamp": pa.timestamp("us", "UTC")}
        found = {}
        for name, kind, _ in self.fields:
            values = [getattr(event, name) for event in events]
            if kind == "timestamp":
                found["utc_offset_minutes"] = pa.array([offset(text) for text in values], pa.int32())
                values = [instant(text) for text in values]
            found[self.told["stored"][name]] = pa.array(values, kinds.get(kind, pa.string()))
        found["unknown_fields"] = pa.array([0] * len(events), pa.int32())
        return found

    def delivery(self, messages: list) -> dict:  # type: ignore[type-arg]
        """Return what is known of the messages beside their fields."""
        headers = [dict(message.headers() or ()) for message in messages]
        times = [message.timestamp() for message in messages]
        arrived = pa.array([at if kind != TIMESTAMP_NOT_AVAILABLE else 0 for kind, at in times], pa.int64())
        arrived = arrived.cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("us", "UTC"))
        days = [datetime.fromtimestamp(at / 1000, UTC) for _, at in times]
        pairs = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))
        texts = {name: [(each.get(name) or b"").decode() or None for each in headers] for name in ("run", "contract")}
        return {
            "raw_value": pa.array([message.value() for message in messages], pa.binary()),
            "message_key": pa.array([message.key() for message in messages], pa.binary()),
            "headers": pa.array([[{"key": k, "value": v} for k, v in each.items()] for each in headers], pairs),
            "run": pa.array(texts["run"], pa.string()),
            "seq": pa.array([int(each.get("seq") or 0) for each in headers], pa.int64()),
            "status_at": pa.array([instant((e.get("status_at") or b"").decode()) for e in headers], arrived.type),
            "contract_version": pa.array(texts["contract"], pa.string()),
            "redrive_of": pa.nulls(len(messages), pa.string()),
            "topic_id": pa.array([self.told["topic_id"]] * len(messages), pa.string()),
            "topic": pa.array([self.told["topic"]] * len(messages), pa.string()),
            "partition": pa.array([message.partition() for message in messages], pa.int32()),
            "offset": pa.array([message.offset() for message in messages], pa.int64()),
            "arrived_at": arrived,
            **{name: pa.array([getattr(day, name) for day in days], pa.int32()) for name in DAY},
        }

    def append(self, table: str, rows: pa.Table) -> None:
        """Commit rows to a table, once."""
        write_deltalake(
            f"{self.told['home']}/{table}",
            rows,
            mode="append",
            partition_by=DAY,
            writer_properties=WriterProperties(compression="ZSTD"),
            commit_properties=CommitProperties(app_transactions=[Transaction("bench", self.commits)]),
        )


def instant(text: str) -> datetime | None:
    """Return the moment of an ISO text with a zone."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def offset(text: str) -> int:
    """Return the minutes between the text's zone and UTC."""
    if text.endswith("Z"):
        return 0
    sign = -1 if text[-6] == "-" else 1
    return sign * (60 * int(text[-5:-3]) + int(text[-2:]))


if __name__ == "__main__":
    main()
