"""The books of a platform, kept by other means than the platform's own."""

from collections import Counter
from decimal import Decimal
from typing import Any

from deltalake import DeltaTable
from kafka import KafkaConsumer, TopicPartition

from contracts.layout import Layout

Coordinates = tuple[int, int]
SILVER = ("transactions", "duplicates", "rejected_transactions")


def offsets_in_kafka(settings: dict[str, str]) -> set[Coordinates]:
    """Return every partition and offset that the broker has, read by kafka-python."""
    consumer = KafkaConsumer(
        bootstrap_servers=settings["KAFKA_BOOTSTRAP"],
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-256",
        sasl_plain_username="admin",
        sasl_plain_password=settings["KAFKA_PASSWORD_ADMIN"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        consumer_timeout_ms=30_000,
        max_partition_fetch_bytes=8 << 20,
    )
    try:
        partitions = [TopicPartition("transactions", p) for p in consumer.partitions_for_topic("transactions") or ()]
        consumer.assign(partitions)
        ends = {p.partition: end for p, end in consumer.end_offsets(partitions).items()}
        found: set[Coordinates] = set()
        expected = sum(ends.values())
        while len(found) < expected:
            batch = consumer.poll(timeout_ms=10_000)
            assert batch, f"the broker gave {len(found)} of {expected} events"
            found |= {(m.partition, m.offset) for messages in batch.values() for m in messages}
        return found
    finally:
        consumer.close()


def offsets_in_lake(layout: Layout) -> tuple[list[Coordinates], list[Coordinates]]:
    """Return partition and offset of each row of bronze and of the dead letters, read by delta-rs."""

    def rows(path: Any) -> list[Coordinates]:
        if not (path / "_delta_log").exists():
            return []
        table = DeltaTable(str(path)).to_pyarrow_table(columns=["partition", "offset"])
        return list(zip(table["partition"].to_pylist(), table["offset"].to_pylist(), strict=True))

    return rows(layout.bronze), rows(layout.dead_letters)


def assert_every_offset_once(platform: Any) -> int:
    """Each offset in bronze or dead letters once, each bronze offset in one silver table once; return their number."""
    kafka = offsets_in_kafka(platform.settings)
    assert kafka
    bronze, dead = offsets_in_lake(Layout(platform.home, platform.home))
    lake = Counter(bronze) + Counter(dead)
    assert not [c for c, n in lake.items() if n > 1]
    assert lake.keys() == kafka
    silver: Counter[Coordinates] = Counter()
    for table in SILVER:
        silver.update(platform.rows(f'select partition, "offset" from raw.{table}'))
    assert not [c for c, n in silver.items() if n > 1]
    assert silver.keys() == set(bronze)
    assert set(platform.rows('select partition, "offset" from raw.dead_letters')) == set(dead)
    return len(kafka)


def amounts_by_currency(platform: Any) -> dict[str, tuple[int, Decimal]]:
    """Return count and exact amount per currency of the fact table."""
    query = "select currency, count(*), sum(amount) from marts.fact_transactions group by 1"
    return {currency: (count, amount) for currency, count, amount in platform.rows(query)}


def marts(platform: Any) -> dict[str, tuple[int, str]]:
    """Return rows and content hash of every mart, whatever the order of its rows."""
    tables = platform.rows(
        "select table_name from information_schema.tables where table_schema = 'marts' and table_type = 'BASE TABLE'"
    )
    assert tables
    hashed = "select count(*), coalesce(md5(string_agg(md5(t::text), '' order by md5(t::text))), '') from marts.{} t"
    return {name: platform.rows(hashed.format(name))[0] for (name,) in tables}
