"""The stream: settings, session, lock, read, write. The tables are its memory; Spark's checkpoint is scratch.

Every start begins at what the two tables record, in a checkpoint of its own: an old one could be damaged by a full
disk, lag behind the tables or be ahead of them, and would add nothing that the tables do not say better.
"""

import json
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from contracts.model import load_contract
from core import failpoints
from core.lake import Lake
from core.layout import Layout
from core.settings import Settings
from spark_streaming import broker, failures, lock, maintenance, requests
from spark_streaming.ends import Ends
from spark_streaming.errors import PartitionsAddedError
from spark_streaming.gaps import Topic
from spark_streaming.session import start_session
from spark_streaming.sink import LakeWriter
from spark_streaming.start import Acceptance, open_lake
from spark_streaming.tables import stream_tables

log = logging.getLogger("tieout.stream")


@dataclass
class Stream:
    """One run of the stream in this process.

    Attributes:
        between: held while a batch is written, or while something must happen between batches.
        stopping: no batch writes any more.
    """

    settings: Settings
    layout: Layout
    writer: LakeWriter
    between: threading.Lock = field(default_factory=threading.Lock)
    stopping: bool = False
    failure: Exception | None = None

    def start(self, trigger: Mapping[str, Any]) -> StreamingQuery:
        """Start the query at the tables' ends."""
        position = {str(partition): offset for partition, offset in self.writer.position.items()}
        messages = (
            self.writer.spark.readStream.format("kafka")
            .options(**broker.source_options(self.settings))
            .option("subscribe", self.writer.topic)
            .option("startingOffsets", json.dumps({self.writer.topic: position}))
            .option("failOnDataLoss", "true")
            .option("includeHeaders", "true")
            .option("maxOffsetsPerTrigger", self.settings.max_offsets_per_trigger)
            .load()
        )
        shutil.rmtree(self.layout.checkpoint, ignore_errors=True)
        self.layout.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        return (
            messages.writeStream.queryName("bronze")
            .foreachBatch(self._batch)
            .option("checkpointLocation", f"file:{self.layout.checkpoint}")
            .trigger(**trigger)
            .start()
        )

    def _batch(self, messages: DataFrame, batch: int) -> None:
        with self.between:
            if self.stopping:
                # Returning without a write is safe: the next start goes by the tables.
                return
            try:
                log.info("%s", self.writer.write(messages, batch, self._end(batch)))
            except Exception as error:
                self.failure, self.stopping = error, True
                raise
            failpoints.reach("stream.before-checkpoint")

    def _end(self, batch: int) -> Ends:
        """Return the batch's end offsets, which Spark writes down before the batch begins."""
        planned = (self.layout.checkpoint / "offsets" / str(batch)).read_text(encoding="utf-8")
        offsets = json.loads(planned.strip().splitlines()[-1])[self.writer.topic]
        return {int(partition): offset for partition, offset in offsets.items()}

    def follow(self, query: StreamingQuery, stop: threading.Event) -> None:
        """Wait until the query ends; stop it between batches when asked, and answer requests for maintenance.

        Raises:
            TieoutError: the query failed.
        """
        try:
            while not query.awaitTermination(1):
                if stop.is_set():
                    with self.between:
                        self.stopping = True
                    query.stop()
                    return
                self._answer()
        except (StreamingQueryException, Exception) as error:
            if stop.is_set() and self.failure is None:
                return
            raise failures.explain(self.failure or error, self.settings, self.writer.topic) from error

    def _answer(self) -> None:
        request = requests.pending(self.layout)
        if request is None:
            return
        with self.between:
            log.info("maintenance begins")
            requests.answer(
                self.layout,
                request,
                lambda: maintenance.maintain(
                    self.settings,
                    [self.writer.bronze.table, self.writer.dead_letters.table],
                    request.wishes.get("expire_before"),
                ),
            )


def run_stream(
    settings: Settings, layout: Layout, *, once: bool, trigger: str, acceptance: Acceptance | None = None
) -> None:
    """Bring Kafka's events into the lake until SIGTERM, or until those that are there at the call are in it.

    Args:
        once: end when everything that is there at the call is in the lake.
        trigger: how often a batch is made, such as `30 seconds`.
        acceptance: a loss, or another topic, that the operator accepts.

    Raises:
        TieoutError: it cannot go on; the tables are whole and the next start goes on where they end.
    """
    stop = _stop_on_signals()
    os.umask(0o077)
    settings.secret("KAFKA_PASSWORD_STREAM", "nothing was started or written.")
    timing = {"availableNow": True} if once else {"processingTime": trigger}
    with lock.take(layout.writer_lock):
        spark = start_session(settings, layout, "tieout stream", ui=not once)
        try:
            _with_all_partitions(lambda: _run(_prepare(spark, settings, layout, acceptance), stop, timing))
        finally:
            spark.stop()


def _with_all_partitions(run: Callable[[], None]) -> None:
    """Run; begin again when the topic was given partitions after it was asked for them and before Spark was."""
    while True:
        try:
            return run()
        except PartitionsAddedError as error:
            log.info("%s It begins again.", error.what)


def _run(stream: Stream, stop: threading.Event, timing: Mapping[str, Any]) -> None:
    if stop.is_set():
        return
    query = stream.start(timing)
    log.info("%s", f"stream begins at {stream.writer.position} of topic {stream.writer.topic}")
    began = time.monotonic()
    # For whoever waits: not before the stream has been let in by lock, topic and offsets.
    stream.layout.run.mkdir(parents=True, exist_ok=True)
    stream.layout.stream_ready.write_text(str(os.getpid()), encoding="utf-8")
    try:
        stream.follow(query, stop)
    finally:
        stream.layout.stream_ready.unlink(missing_ok=True)
    log.info("%s", f"stream ends after {time.monotonic() - began:.0f} s")


def _prepare(spark: SparkSession, settings: Settings, layout: Layout, acceptance: Acceptance | None) -> Stream:
    contract = load_contract()
    topic = broker.look(spark, settings, contract.topics["transactions"].name)
    try:
        lake = stream_tables(Lake.of(settings, layout), contract)
        bronze, dead_letters, position = open_lake(topic, lake, acceptance)
    except Exception as error:
        raise failures.explain(error, settings, topic.name) from error
    writer = LakeWriter(
        spark=spark,
        contract=contract,
        bronze=bronze,
        dead_letters=dead_letters,
        topic=topic.name,
        topic_id=topic.topic_id,
        position=position,
        kafka=Topic(
            uncommitted=lambda start, end: broker.read_uncommitted(spark, settings, topic.name, start=start, end=end),
            first=lambda: broker.look(spark, settings, topic.name).first,
            is_compacted=lambda: broker.is_compacted(spark, settings, topic.name),
        ),
        acceptance=acceptance,
    )
    return Stream(settings, layout, writer)


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    return stop
