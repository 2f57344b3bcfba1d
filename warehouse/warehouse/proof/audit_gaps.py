"""Missing offsets, read again in Kafka by the auditor: markers of transactions, records of aborted ones, or neither.

What is found stays found: retention in Kafka must not unprove it, and nothing is read a second time.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import psycopg

from contracts.model import Entity
from core.settings import Settings
from warehouse.feeds import as_multirange, as_ranges
from warehouse.gaps import Spans, as_spans
from warehouse.proof.kafka_records import auditor, read_records, topic_state

# Spans that are closer than so many offsets are read as one.
READ_ON = 2_000

_UNEXPLAINED = """
select load_id, topic_id, partition, offsets - markers - aborted
from metadata.offsets_without_event
where load_id > %s and not isempty(offsets - markers - aborted)
    and load_id in (select load_id from metadata.load_audit where entity = %s)
"""
_EXPLAIN = """
insert into metadata.explained_offsets (load_id, topic_id, partition, markers, aborted, first_offset)
values (%s, %s, %s, %s::int8multirange, %s::int8multirange, %s)
"""


@dataclass(frozen=True)
class Finding:
    """What missing offsets of a partition are.

    Attributes:
        markers: offsets at which Kafka has no record at all: it keeps one of each transaction for itself.
        aborted: offsets whose record only an uncommitted reader is given.
        first: the oldest offset that Kafka still had when it had been read; what lies before is not judged.
    """

    markers: Spans
    aborted: Spans
    first: int

    @property
    def count(self) -> tuple[int, int]:
        """How many markers and how many aborted records."""
        markers, aborted = (sum(behind - begin for begin, behind in spans) for spans in (self.markers, self.aborted))
        return markers, aborted


def unexplained_loads(connection: psycopg.Connection[Any], entity: Entity, after_load: int) -> set[int]:
    """Return the loads of an entity that have passed offsets without an event of which nothing is shown yet."""
    return {load_id for load_id, *_ in connection.execute(_UNEXPLAINED, [after_load, entity.name]).fetchall()}


def explain_missing(
    connection: psycopg.Connection[Any], settings: Settings, entity: Entity, after_load: int
) -> set[int]:
    """Read again what loads of an entity have passed without an event, and write down what it is.

    Args:
        connection: as dbt.
        settings: broker, and the password of the auditor.
        entity: whose loads, and whose topic.
        after_load: loads up to this one are proven already.

    Returns:
        the loads that were asked about.

    Raises:
        OutageError: the broker is away.
    """
    rows = connection.execute(_UNEXPLAINED, [after_load, entity.name]).fetchall()
    connection.commit()  # Kafka may take its time
    for load_id, topic_id in sorted({(load_id, topic_id) for load_id, topic_id, *_ in rows}):
        missing = {p: as_ranges(offsets) for load, topic, p, offsets in rows if (load, topic) == (load_id, topic_id)}
        for partition, found in read_again(settings, entity, topic_id, missing).items():
            if found.markers or found.aborted:
                spans = (as_multirange(found.markers), as_multirange(found.aborted))
                connection.execute(_EXPLAIN, [load_id, topic_id, partition, *spans, found.first])
                connection.commit()
    return {load_id for load_id, *_ in rows}


def read_again(
    settings: Settings, entity: Entity, topic_id: str | None, missing: Mapping[int, Spans]
) -> dict[int, Finding]:
    """Return what the missing offsets of an entity's partitions are; nothing where the topic was made anew.

    Raises:
        OutageError: the broker is away, or forgets what is read.
    """
    topic = entity.topic.name
    found_id, is_compacted = topic_state(settings, topic)
    if found_id != topic_id:
        return {}
    with auditor(settings) as committed, auditor(settings, "read_uncommitted") as uncommitted:
        places = _places(topic, missing)
        before = committed.beginning_offsets(list(places.values()))
        ends = committed.end_offsets(list(places.values()))
        there = {
            p: [(max(begin, before[places[p]]), min(behind, ends[places[p]])) for begin, behind in spans]
            for p, spans in missing.items()
        }
        asked = {p: {o for begin, behind in spans for o in range(begin, behind)} for p, spans in there.items()}
        given, kept = (_records(consumer, places, there, asked) for consumer in (committed, uncommitted))
        after = uncommitted.beginning_offsets(list(places.values()))
    found = {}
    for partition in there:
        first = max(before[places[partition]], after[places[partition]])
        offsets = {offset for offset in asked[partition] - given[partition] if offset >= first}
        markers = set() if is_compacted else offsets - kept[partition]
        found[partition] = Finding(as_spans(markers), as_spans(offsets & kept[partition]), first)
    return found


def _places(topic: str, missing: Mapping[int, Spans]) -> dict[int, Any]:
    from kafka import TopicPartition  # noqa: PLC0415  (only a proof that reads Kafka needs it)

    return {partition: TopicPartition(topic, partition) for partition in missing}


def _records(
    consumer: Any, places: Mapping[int, Any], missing: Mapping[int, Spans], asked: Mapping[int, Container[int]]
) -> dict[int, set[int]]:
    """Return at which of the offsets that are asked about a consumer is given a record, by partition."""
    found: dict[int, set[int]] = {partition: set() for partition in places}
    for ranges in zip_longest(*(_joined(places[p], spans) for p, spans in missing.items())):
        for batch in read_records(consumer, dict(each for each in ranges if each)):
            for message in batch:
                # Spans are joined: what lies between them is read, and need not be kept.
                if message.offset in asked[message.partition]:
                    found[message.partition].add(message.offset)
    return found


def _joined(place: Any, spans: Spans) -> Iterator[tuple[Any, tuple[int, int]]]:
    """Yield spans of a partition to read, in order, with those that are close to each other as one."""
    joined: Spans = []
    for begin, behind in spans:
        if begin >= behind:
            continue
        if joined and begin - joined[-1][1] < READ_ON:
            joined[-1] = (joined[-1][0], behind)
        else:
            joined.append((begin, behind))
    yield from ((place, span) for span in joined)
