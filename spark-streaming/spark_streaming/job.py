"""The stream: settings, session, lock, read, write. The tables are its memory; Spark's checkpoint is scratch.

Every start begins at what the tables record, in a checkpoint of its own: an old one could be damaged by a full
disk, lag behind the tables or be ahead of them, and would add nothing that the tables do not say better.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

from pyspark.sql import SparkSession

from contracts.entities import entity_names, load_entity
from contracts.model import Entity
from core.lake import Lake
from core.layout import Layout
from core.locks import is_record_locked
from core.settings import Settings
from spark_streaming import broker, failures, lease, lock, requests
from spark_streaming import names as entity_words
from spark_streaming.failed_entities import read_failed
from spark_streaming.gaps import Topic
from spark_streaming.lease import Lease
from spark_streaming.queries import Queries
from spark_streaming.session import start_session
from spark_streaming.sink import LakeWriter
from spark_streaming.start import Acceptance, open_lake
from spark_streaming.tables import stream_tables

log = logging.getLogger("tieout.stream")
# How long the running stream may take until it has finished a batch and asked the topic.
ACCEPT_SECONDS = 600.0


def run_stream(
    settings: Settings, layout: Layout, *, once: bool, trigger: str, acceptance: Acceptance | None = None
) -> None:
    """Bring Kafka's events into the lake until SIGTERM, or until those that are there at the call are in it.

    Args:
        once: end when everything that is there at the call is in the lake; with an acceptance, of its entity alone.
        trigger: how often a batch is made, such as `30 seconds`.
        acceptance: a loss, or another topic, that the operator accepts.

    Raises:
        TieoutError: it cannot go on; the tables are whole and the next start goes on where they end.
    """
    stop = _stop_on_signals()
    os.umask(0o077)
    settings.kafka_password("stream", "nothing was started or written.")
    if acceptance and _is_left_out(layout, acceptance.entity):
        _hand_over(layout, acceptance)
        return
    timing = {"availableNow": True} if once else {"processingTime": trigger}
    # Two entities may each need an acceptance, and a command has one: neither must wait for the other's.
    names = (acceptance.entity,) if once and acceptance else entity_names()
    with lock.take(layout.writer_lock), lease.hold(settings) as held:
        spark = start_session(settings, layout, "tieout stream", ui=not once)
        try:
            _run(open_queries(spark, settings, layout, names, acceptance, held=held), stop, timing)
        finally:
            spark.stop()


def _is_left_out(layout: Layout, name: str) -> bool:
    """Say whether a stream is at work that does not serve an entity."""
    return is_record_locked(layout.writer_lock) and name in read_failed(layout)


def _hand_over(layout: Layout, acceptance: Acceptance) -> None:
    """Let the running stream begin with an entity that it has left out."""
    requests.ask(
        layout,
        {"accept": acceptance.as_json()},
        patience=ACCEPT_SECONDS,
        still_runs=lambda: is_record_locked(layout.writer_lock),
    )
    log.info("%s", f"accepted: the running stream serves {acceptance.entity} again")


def _run(queries: Queries, stop: threading.Event, timing: Mapping[str, Any]) -> None:
    if stop.is_set():
        return
    began, layout = time.monotonic(), queries.layout
    layout.run.mkdir(parents=True, exist_ok=True)
    queries.start(timing)
    # For whoever waits: not before the stream has been let in by lock, topics and offsets.
    layout.stream_ready.write_text(str(os.getpid()), encoding="utf-8")
    try:
        queries.follow(stop)
    finally:
        layout.stream_ready.unlink(missing_ok=True)
    log.info("%s", f"stream ends after {time.monotonic() - began:.0f} s")


def open_queries(
    spark: SparkSession,
    settings: Settings,
    layout: Layout,
    names: Sequence[str],
    acceptance: Acceptance | None = None,
    *,
    held: Lease | None = None,
) -> Queries:
    """Return the queries of entities; each begins where its tables end, once it is started."""
    lake = Lake.of(settings, layout)

    def open_writer(name: str, accepted: Acceptance | None) -> LakeWriter:
        return _open(spark, settings, lake, load_entity(name), accepted)

    return Queries(settings, layout, names, open_writer, acceptance, held)


def _open(
    spark: SparkSession, settings: Settings, lake: Lake, entity: Entity, accepted: Acceptance | None
) -> LakeWriter:
    """Take over the two tables of an entity."""
    acceptance = accepted if accepted and accepted.entity == entity.name else None
    topic = broker.look(spark, settings, entity.topic.name)
    try:
        bronze, dead_letters, position = open_lake(topic, stream_tables(lake, entity), acceptance)
    except Exception as error:
        raise failures.explain(error, settings, topic.name) from error
    return LakeWriter(
        spark=spark,
        entity=entity,
        bronze=bronze,
        dead_letters=dead_letters,
        topic=topic.name,
        topic_id=topic.topic_id,
        position=position,
        kafka=Topic(
            uncommitted=lambda start, end: broker.read_uncommitted(spark, settings, topic.name, start=start, end=end),
            first=lambda: broker.look(spark, settings, topic.name).first,
            is_compacted=lambda: broker.is_compacted(spark, settings, topic.name),
            option=entity_words.option(entity),
        ),
        acceptance=acceptance,
    )


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    return stop
