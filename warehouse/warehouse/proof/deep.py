"""`--deep`: Kafka itself, read again by the other client, against the lake: offset by offset, byte by byte.

It also says what was never attested: the events of feeds without control totals, and offsets that Kafka does not have,
as after a transaction or a compaction. What only the lake has, such as an event of an aborted transaction, is a
difference.
"""

import hashlib
import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa

from contracts.control_total import LONGEST_RUN
from contracts.model import Entity
from warehouse.delta_log import newest_record
from warehouse.proof.context import Context
from warehouse.proof.equation import Equation, Side
from warehouse.proof.forward import plus
from warehouse.proof.kafka_records import auditor, read_records
from warehouse.read import open_workspace

Sides = dict[tuple[str, str | None], Side]


def prove_with_kafka(context: Context, unattested: list[str]) -> Iterable[Equation]:
    """Yield E1 per partition, Kafka's records = the lake's, and E0 of feeds without totals, by what Kafka holds.

    Only offsets that Kafka still has and the lake already has are judged.

    Args:
        context: whose books, where the lake is, and the password of the auditor.
        unattested: the feeds that nobody's totals speak of.

    Raises:
        OutageError: the broker does not answer, or sends nothing for a minute.
    """
    entity = context.entity
    topic_id, ends = newest_record(context.bronze)
    with open_workspace(context.layout.state / "load", context.settings.loader_memory) as workspace:
        _read_lake(workspace, context, topic_id)
        workspace.execute(
            'create table kafka ("partition" integer, "offset" bigint, digest varchar, feed varchar, currency varchar, '
            "amount decimal(38,4))"
        )
        with auditor(context.settings) as consumer:
            ranges = _ranges(consumer, entity.topic.name, ends)
            for batch in read_records(consumer, ranges):
                _insert(workspace, batch, entity)
            ranges = _still_there(workspace, consumer, ranges)
        yield from _offsets(workspace, ranges)
        yield from _unattested(workspace, unattested)


def _ranges(consumer: Any, topic: str, ends: dict[int, int]) -> dict[Any, tuple[int, int]]:
    from kafka import TopicPartition  # noqa: PLC0415

    places = [TopicPartition(topic, partition) for partition in sorted(ends)]
    begins = consumer.beginning_offsets(places)
    behind = consumer.end_offsets(places)
    return {place: (begins[place], min(ends[place.partition], behind[place])) for place in places}


def _still_there(
    workspace: duckdb.DuckDBPyConnection, consumer: Any, ranges: dict[Any, tuple[int, int]]
) -> dict[Any, tuple[int, int]]:
    """Return the ranges without what retention has taken while they were read."""
    first = consumer.beginning_offsets(list(ranges))
    for place, offset in first.items():
        workspace.execute('delete from kafka where "partition" = ? and "offset" < ?', [place.partition, offset])
    return {place: (max(begin, first[place]), behind) for place, (begin, behind) in ranges.items()}


def _insert(workspace: duckdb.DuckDBPyConnection, batch: list[Any], entity: Entity) -> None:
    if not batch:
        return
    money = [_money(message.value, entity) for message in batch]
    table = pa.table(
        {
            "partition": pa.array([message.partition for message in batch], pa.int32()),
            "offset": pa.array([message.offset for message in batch], pa.int64()),
            "digest": pa.array([_digest(message.value) for message in batch], pa.string()),
            "feed": pa.array([_feed(message.headers, entity) for message in batch], pa.string()),
            "currency": pa.array([currency for currency, _ in money], pa.string()),
            "amount": pa.array([amount for _, amount in money], pa.decimal128(38, 4)),
        }
    )
    workspace.register("batch", table)
    workspace.execute("insert into kafka select * from batch")
    workspace.unregister("batch")


def _digest(value: bytes | None) -> str | None:
    return None if value is None else hashlib.md5(value, usedforsecurity=False).hexdigest()


def _feed(headers: Iterable[tuple[str, bytes | None]], entity: Entity) -> str:
    held = dict(headers)
    run, seq = held.get("run"), held.get("seq")
    try:
        name = (run or b"").decode()
        named = name and len(name) <= LONGEST_RUN and int((seq or b"").decode()) >= 1
    except ValueError:
        return entity.no_feed
    return name if named else entity.no_feed


def _money(value: bytes | None, entity: Entity) -> tuple[str | None, Decimal | None]:
    """Return currency and amount as plain JSON has them; what the lake calls malformed has none in the comparison."""
    try:
        fields = json.loads(value or b"", parse_float=Decimal, parse_int=Decimal)
        amount, currency = fields[entity.amount], fields[entity.currency]
        if isinstance(amount, Decimal) and amount.is_finite() and currency in entity.currencies:
            exact = amount.quantize(Decimal("0.0001"))
            return (currency, exact) if abs(exact) < Decimal(10) ** 30 else (None, None)
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        pass
    return None, None


def _read_lake(workspace: duckdb.DuckDBPyConnection, context: Context, topic_id: str | None) -> None:
    workspace.execute(
        'create table lake ("partition" integer, "offset" bigint, digest varchar, currency varchar, '
        "amount decimal(20,4), in_bronze boolean)"
    )
    for table, money in (
        (context.dead_letters, "null, null, false"),
        (context.bronze, "currency, amount, true"),
    ):
        for source in table.portions(workspace, table.files()):
            workspace.execute(
                f'insert into lake select "partition", "offset", md5(raw_value), {money} '  # noqa: S608
                f"from {source} where topic_id = ?",
                [topic_id],
            )


def _offsets(workspace: duckdb.DuckDBPyConnection, ranges: dict[Any, tuple[int, int]]) -> Iterable[Equation]:
    for place, (begin, behind) in ranges.items():
        records, equal = workspace.execute(
            """
            select count(*), count(*) filter (where l."offset" is not null and l.digest is not distinct from k.digest)
            from kafka k left join lake l on l."partition" = k."partition" and l."offset" = k."offset"
            where k."partition" = ?
            """,
            [place.partition],
        ).fetchall()[0]
        (foreign,) = workspace.execute(
            """
            select count(*) from lake l anti join kafka k on l."partition" = k."partition" and l."offset" = k."offset"
            where l."partition" = ? and l."offset" >= ? and l."offset" < ?
            """,
            [place.partition, begin, behind],
        ).fetchall()[0]
        scope: dict[str, Any] = {"partition": place.partition, "offsets": [begin, behind], "from": "kafka"}
        if behind - begin > records:
            scope["gaps_in_kafka"] = behind - begin - records
        if foreign:
            scope["not_in_kafka"] = foreign
        yield Equation("E1", scope, None, Side(records), Side(equal + foreign))


def _unattested(workspace: duckdb.DuckDBPyConnection, feeds: list[str]) -> Iterable[Equation]:
    for feed in feeds:
        sides: dict[str | None, list[Side]] = {}
        for currency, said, amount, count, here in workspace.execute(
            """
            select case when l.in_bronze then k.currency end as known, count(*),
                sum(k.amount) filter (where l.in_bronze), count(l."offset"),
                sum(l.amount) filter (where k.currency is not null)
            from kafka k left join lake l on l."partition" = k."partition" and l."offset" = k."offset"
            where k.feed = ? group by 1 order by 1
            """,
            [feed],
        ).fetchall():
            money = currency is not None
            left, right = Side(said, amount if money else None), Side(count, here if money else None)
            pair = sides.setdefault(currency, [Side(), Side()])
            pair[0], pair[1] = plus(pair[0], left), plus(pair[1], right)
        for currency, (left, right) in sides.items():
            scope = {"feed": feed, "from": "kafka", **({} if currency else {"of": "events without an amount"})}
            yield Equation("E0", scope, currency, left, right)
