# ruff: noqa: S608  (names of tables are our own)
"""The books of a platform, kept by other means than the platform's own.

Kafka is read by kafka-python, the lake by delta-rs, silver and the marts by plain SQL as the database's superuser.
Nothing of the stream, the loader or the proof is used, so that an error of theirs cannot hide itself here.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from contracts.entities import load_entities
from contracts.model import Entity
from control.roles import dsn
from core.kafka_login import KafkaPlace, kafka_python_login
from core.lake import Lake, LakeTable

Coordinates = tuple[int, int]
SILENCE_SECONDS = 30.0


def offsets_in_kafka(settings: Mapping[str, str], topic: str) -> set[Coordinates]:
    """Return partition and offset of every committed event that the broker has."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(
        **kafka_python_login(KafkaPlace.of(settings), "admin", settings["KAFKA_PASSWORD_ADMIN"]),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 << 20,
        isolation_level="read_committed",
    )
    try:
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        found: set[Coordinates] = set()
        deadline = time.monotonic() + SILENCE_SECONDS
        while any(consumer.position(each) < ends[each] for each in partitions):
            if batch := consumer.poll(timeout_ms=1_000):
                deadline = time.monotonic() + SILENCE_SECONDS
            elif time.monotonic() > deadline:
                raise RuntimeError(f"the broker gave {len(found)} events and then nothing for {SILENCE_SECONDS:.0f} s")
            found |= {(m.partition, m.offset) for messages in batch.values() for m in messages}
        return found
    finally:
        consumer.close()


def offsets_in_lake(table: LakeTable) -> list[Coordinates]:
    """Return partition and offset of each row of a table of the lake."""
    if not table.exists():
        return []
    with table.place.answering():
        rows = table.delta().to_pyarrow_table(columns=["partition", "offset"])
    return list(zip(rows["partition"].to_pylist(), rows["offset"].to_pylist(), strict=True))


def ask(settings: Mapping[str, str], query: str) -> list[tuple[Any, ...]]:
    """Return what the database itself says."""
    with psycopg.connect(dsn(settings, "postgres")) as connection:
        return connection.execute(query).fetchall()


def marts(settings: Mapping[str, str]) -> dict[str, tuple[int, str]]:
    """Return rows and content hash of every mart, whatever the order of its rows."""
    tables = ask(
        settings,
        "select table_name from information_schema.tables where table_schema = 'marts' and table_type = 'BASE TABLE'",
    )
    hashed = "select count(*), coalesce(md5(string_agg(md5(t::text), '' order by md5(t::text))), '') from marts.{} t"
    return {name: ask(settings, hashed.format(name))[0] for (name,) in tables}


def differences(settings: Mapping[str, str], lake: Lake) -> tuple[dict[str, int], list[str]]:
    """Follow every offset: once in bronze or the dead letters, and from bronze into exactly one table of silver.

    Returns:
        how many offsets the broker has of each entity, and a line for each kind of difference.
    """
    offsets, told = {}, []
    for entity in load_entities():
        offsets[entity.name], found = _differences(settings, lake, entity)
        told += [f"{entity.name}: {line}" for line in found]
    return offsets, told


def _differences(settings: Mapping[str, str], lake: Lake, entity: Entity) -> tuple[int, list[str]]:
    kafka = offsets_in_kafka(settings, entity.topic.name)
    bronze = Counter(offsets_in_lake(lake.table(entity.bronze)))
    dead = Counter(offsets_in_lake(lake.table(entity.dead_letters)))
    held = bronze + dead
    silver: Counter[Coordinates] = Counter()
    for table in (entity.silver, entity.duplicates, entity.rejected):
        silver.update(_coordinates(settings, table))
    of_entity = f"raw.dead_letters join metadata.load_audit using (load_id) where entity = '{entity.name}'"
    catalogue = Counter(_coordinates(settings, of_entity))
    found = {
        "in Kafka and not in the lake": kafka - held.keys(),
        "in the lake and not in Kafka": held.keys() - kafka,
        "more than once in the lake": _repeated(held),
        "in bronze and not in silver": bronze.keys() - silver.keys(),
        "in silver and not in bronze": silver.keys() - bronze.keys(),
        "more than once in silver": _repeated(silver),
        "among the lake's dead letters and not in raw.dead_letters, or the other way round": dead.keys()
        ^ catalogue.keys(),
    }
    return len(kafka), [_told(what, offsets) for what, offsets in found.items() if offsets]


def _coordinates(settings: Mapping[str, str], source: str) -> Iterable[Coordinates]:
    return ((row[0], row[1]) for row in ask(settings, f'select partition, "offset" from {source}'))


def _repeated(counted: Counter[Coordinates]) -> set[Coordinates]:
    return {offset for offset, times in counted.items() if times > 1}


def _told(what: str, offsets: Iterable[Coordinates]) -> str:
    listed = sorted(offsets)
    shown = " ".join(f"{partition}:{offset}" for partition, offset in listed[:8])
    return f"{len(listed)} offsets are {what}: {shown}{' ...' if len(listed) > 8 else ''}"
