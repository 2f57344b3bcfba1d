"""The stream's queries: one an entity, all in one session, and one lock that a batch of any of them holds.

An entity whose query cannot begin, or fails, does not stop the others: it is tried again, or waits for a person's
decision. An outage, a full disk and another writer are not one entity's: the stream ends with them as a whole.
"""

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery

from core import failpoints
from core.errors import OutageError, RefusalError, TieoutError
from core.layout import Layout
from core.parts import join
from core.settings import Settings
from spark_streaming import broker, failures, maintenance, requests
from spark_streaming.ends import Ends
from spark_streaming.errors import LakeFullError, LakeTakenError, PartitionsAddedError, StreamError
from spark_streaming.failed_entities import write_failed
from spark_streaming.lease import Lease
from spark_streaming.sink import LakeWriter
from spark_streaming.start import Acceptance

log = logging.getLogger("tieout.stream")

TRY_AGAIN_SECONDS = 60.0
# What is away, full or another's is so for every entity.
_OF_ALL = (OutageError, LakeTakenError, LakeFullError)

Open = Callable[[str, Acceptance | None], LakeWriter]


@dataclass
class Queries:
    """One run of the stream in this process.

    Attributes:
        names: of the entities that it serves.
        open: takes over an entity's tables, and raises where that cannot be.
        acceptance: a loss, or another topic, that the operator accepts.
        lease: of a lake elsewhere; without it no batch begins.
        between: held while a batch is written, or while something must happen between batches.
        stopping: no batch writes any more.
        failed: the errors of the entities that are not served.
    """

    settings: Settings
    layout: Layout
    names: Sequence[str]
    open: Open
    acceptance: Acceptance | None = None
    lease: Lease | None = None
    between: threading.Lock = field(default_factory=threading.Lock)
    stopping: bool = False
    failed: dict[str, TieoutError] = field(default_factory=dict)
    _trigger: Mapping[str, Any] = field(default_factory=dict)
    _running: dict[str, tuple[LakeWriter, StreamingQuery]] = field(default_factory=dict)
    _errors: dict[str, Exception] = field(default_factory=dict)
    _again: dict[str, float] = field(default_factory=dict)

    def start(self, trigger: Mapping[str, Any]) -> None:
        """Start each entity's query at its tables' ends.

        Raises:
            TieoutError: none could be started, or what they share is away, full or another's.
        """
        self._trigger = trigger
        write_failed(self.layout, {})
        try:
            for name in self.names:
                self._begin(name, self.acceptance)
        except TieoutError:
            self._halt()
            raise
        if not self._running and not self._again:
            raise self._joined()

    def _begin(self, name: str, acceptance: Acceptance | None = None) -> None:
        """Begin an entity's query; where that fails, its error is kept."""
        self._again.pop(name, None)
        try:
            writer = self.open(name, acceptance)
            self._running[name] = writer, self._start(writer)
        except Exception as error:
            self._fail(name, failures.explain(error, self.settings, name))
            return
        log.info("%s", f"stream begins at {writer.position} of topic {writer.topic}")
        if self.failed.pop(name, None):
            write_failed(self.layout, self.failed)

    def _start(self, writer: LakeWriter) -> StreamingQuery:
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
            .trigger(**self._trigger)
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
                self._errors[writer.entity.name] = error
                self.stopping = isinstance(error, _OF_ALL)
                raise
            failpoints.reach("stream.before-checkpoint")

    def _end(self, writer: LakeWriter, batch: int) -> Ends:
        """Return the batch's end offsets, which Spark writes down before the batch begins."""
        planned = (self._checkpoint(writer) / "offsets" / str(batch)).read_text(encoding="utf-8")
        offsets = json.loads(planned.strip().splitlines()[-1])[writer.topic]
        return {int(partition): offset for partition, offset in offsets.items()}

    def follow(self, stop: threading.Event) -> None:
        """Wait until all queries end; stop them between batches when asked, and answer requests between batches.

        Raises:
            TieoutError: queries failed, and the others have ended; or what they share is away, full or another's.
        """
        try:
            while not stop.is_set() and self._go_on():
                self._answer()
                self._wait()
            self._halt()
        except Exception as error:
            with suppress(Exception):  # Java may be gone
                self._halt()
            if stop.is_set() and not isinstance(error, TieoutError):
                return
            raise failures.explain(error, self.settings, ", ".join(self._running)) from error
        if self.failed and not stop.is_set():
            raise self._joined()

    def _go_on(self) -> bool:
        """Look at each query, begin those whose time has come, and say whether there is one to wait for."""
        for name, (writer, query) in list(self._running.items()):
            if query.isActive:
                continue
            del self._running[name]
            try:
                query.awaitTermination()
            except Exception as error:
                cause = self._errors.pop(name, error)
                self._fail(name, failures.explain(cause, self.settings, writer.topic))
        now = time.monotonic()
        for name in [name for name, due in self._again.items() if due <= now]:
            self._begin(name, self.acceptance)
        return bool(self._running)

    def _fail(self, name: str, error: TieoutError) -> None:
        """Keep why an entity is not served; begin it again later where that may help."""
        if isinstance(error, PartitionsAddedError):
            log.info("%s It begins again.", error.what)
            self._again[name] = time.monotonic()
            return
        if isinstance(error, _OF_ALL):
            raise error
        self.failed[name] = error
        write_failed(self.layout, self.failed)
        log.error("%s", f"{name} is not served: {error}")
        if not isinstance(error, RefusalError) and "availableNow" not in self._trigger:
            self._again[name] = time.monotonic() + TRY_AGAIN_SECONDS

    def _joined(self) -> TieoutError:
        return join(self.failed, [name for name in self.names if name not in self.failed])

    def _wait(self) -> None:
        """Wait a second, or until a query ends; how it ended is asked later."""
        query = next((query for _, query in self._running.values() if query.isActive), None)
        if query is not None:
            with suppress(StreamingQueryException):
                query.awaitTermination(1)

    def _halt(self) -> None:
        with self.between:
            self.stopping = True
        for _, query in self._running.values():
            query.stop()

    def _answer(self) -> None:
        request = requests.pending(self.layout)
        if request is None:
            return
        with self.between:
            if accepted := request.wishes.get("accept"):
                requests.answer(self.layout, request, lambda: self._accept(Acceptance.from_json(accepted)))
                return
            log.info("maintenance begins")
            writers = [writer for writer, _ in self._running.values()]
            tables = [owned.table for writer in writers for owned in (writer.bronze, writer.dead_letters)]
            requests.answer(
                self.layout,
                request,
                lambda: maintenance.maintain(self.settings, tables, request.wishes.get("expire_before")),
            )

    def _accept(self, acceptance: Acceptance) -> requests.Answer:
        """Begin the query of an entity that is not served, with what the operator accepts."""
        name = acceptance.entity
        if name in self._running:
            raise StreamError(
                f"The running stream serves {name}: there is nothing to accept.",
                "nothing was changed.",
                "./scripts/tieout status",
            )
        self._begin(name, acceptance)
        if name in self.failed:
            raise self.failed[name]
        return {"entity": name}
