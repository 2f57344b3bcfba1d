"""The stream's queries: one an entity, all in one session, and one lock that a batch of any of them holds."""

import json
import logging
import shutil
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery

from core import failpoints
from core.layout import Layout
from core.settings import Settings
from spark_streaming import broker, failures, maintenance, requests
from spark_streaming.ends import Ends
from spark_streaming.lease import Lease
from spark_streaming.sink import LakeWriter

log = logging.getLogger("tieout.stream")


@dataclass
class Queries:
    """One run of the stream in this process.

    Attributes:
        writers: one an entity.
        lease: of a lake elsewhere; without it no batch begins.
        between: held while a batch is written, or while something must happen between batches.
        stopping: no batch writes any more.
    """

    settings: Settings
    layout: Layout
    writers: Sequence[LakeWriter]
    lease: Lease | None = None
    between: threading.Lock = field(default_factory=threading.Lock)
    stopping: bool = False
    _running: list[tuple[LakeWriter, StreamingQuery]] = field(default_factory=list)
    _failure: tuple[Exception, str] | None = None
    _asked: str = ""

    def start(self, trigger: Mapping[str, Any]) -> None:
        """Start every query at its tables' ends."""
        for writer in self.writers:
            self._running.append((writer, self._start(writer, trigger)))

    def _start(self, writer: LakeWriter, trigger: Mapping[str, Any]) -> StreamingQuery:
        position = {str(partition): offset for partition, offset in writer.position.items()}
        messages = (
            writer.spark.readStream.format("kafka")
            .options(**broker.source_options(self.settings))
            .option("subscribe", writer.topic)
            .option("startingOffsets", json.dumps({writer.topic: position}))
            .option("failOnDataLoss", "true")
            .option("includeHeaders", "true")
            .option("maxOffsetsPerTrigger", self.settings.max_offsets_per_trigger)
            .load()
        )
        checkpoint = self._checkpoint(writer)
        shutil.rmtree(checkpoint, ignore_errors=True)
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        return (
            messages.writeStream.queryName(writer.bronze.table.name)
            .foreachBatch(lambda rows, batch: self._batch(writer, rows, batch))
            .option("checkpointLocation", f"file:{checkpoint}")
            .trigger(**trigger)
            .start()
        )

    def _checkpoint(self, writer: LakeWriter) -> Path:
        return self.layout.checkpoint(writer.bronze.table.name)

    def _batch(self, writer: LakeWriter, messages: DataFrame, batch: int) -> None:
        with self.between:
            if self.stopping:
                # Returning without a write is safe: the next start goes by the tables.
                return
            try:
                if self.lease:
                    self.lease.require()
                log.info("%s", writer.write(messages, batch, self._end(writer, batch)))
            except Exception as error:
                self._failure, self.stopping = (error, writer.topic), True
                raise
            failpoints.reach("stream.before-checkpoint")

    def _end(self, writer: LakeWriter, batch: int) -> Ends:
        """Return the batch's end offsets, which Spark writes down before the batch begins."""
        planned = (self._checkpoint(writer) / "offsets" / str(batch)).read_text(encoding="utf-8")
        offsets = json.loads(planned.strip().splitlines()[-1])[writer.topic]
        return {int(partition): offset for partition, offset in offsets.items()}

    def follow(self, stop: threading.Event) -> None:
        """Wait until all queries end; stop them between batches when asked, and answer requests for maintenance.

        Raises:
            TieoutError: a query failed; the others are stopped too.
        """
        try:
            while (query := self._active()) and not stop.is_set():
                self._answer()
                query.awaitTermination(1)
            self._halt()
        except Exception as error:
            with suppress(Exception):  # Java may be gone
                self._halt()
            if stop.is_set() and self._failure is None:
                return
            failed, topic = self._failure or (error, self._asked)
            raise failures.explain(failed, self.settings, topic) from error

    def _active(self) -> StreamingQuery | None:
        """Return a query that has not ended; raise what another has failed with."""
        active: tuple[str, StreamingQuery] | None = None
        for writer, query in self._running:
            self._asked = writer.topic
            if query.isActive:
                active = active or (writer.topic, query)
            else:
                query.awaitTermination()
        if active is None:
            return None
        self._asked, query = active
        return query

    def _halt(self) -> None:
        with self.between:
            self.stopping = True
        for _, query in self._running:
            query.stop()

    def _answer(self) -> None:
        request = requests.pending(self.layout)
        if request is None:
            return
        with self.between:
            log.info("maintenance begins")
            tables = [owned.table for writer in self.writers for owned in (writer.bronze, writer.dead_letters)]
            requests.answer(
                self.layout,
                request,
                lambda: maintenance.maintain(self.settings, tables, request.wishes.get("expire_before")),
            )
