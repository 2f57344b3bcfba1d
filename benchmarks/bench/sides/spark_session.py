"""One warm Spark session: the stream's own work, its limit (read and judged to nowhere), and the JDBC writer."""

import json
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from contracts.entities import load_entity
from contracts.judge import Judge
from contracts.model import PAYMENTS, Entity
from core.layout import CHECKOUT, Layout, find_layout
from core.settings import load_settings
from spark_streaming import broker
from spark_streaming.job import open_queries
from spark_streaming.session import start_session


@dataclass(frozen=True)
class Judged:
    """Judges messages in a worker: yields each one's currency and amount, and whether it is a dead letter."""

    entity: Entity

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield a batch for each one that is taken."""
        judge = Judge(self.entity)
        for batch in batches:
            found = judge.judge(batch["value"]).columns
            dead = pc.greater(pc.list_value_length(found["reasons"]), 0)
            yield pa.RecordBatch.from_pydict({"dead": dead, "currency": found["currency"], "amount": found["amount"]})

    def of(self, messages: DataFrame) -> DataFrame:
        """Return what is said of messages."""
        return messages.select("value").mapInArrow(self, "dead boolean, currency string, amount decimal(20,4)")


class Work:
    """One session that drains the topic again and again.

    Args:
        master: what the session runs on, such as local[2].
        driver: the JAR of a JDBC driver.
    """

    def __init__(self, master: str | None = None, driver: str | None = None) -> None:
        self.layout = find_layout()
        found = load_settings(self.layout)
        self.settings = found.model_copy(update={"spark_master": master}) if master else found
        if driver:
            os.environ["PYSPARK_SUBMIT_ARGS"] = f"--driver-class-path {driver} pyspark-shell"
        self.spark = start_session(self.settings, self.layout, "bench", ui=False)
        self.spark.sparkContext.setLogLevel("ERROR")

    def lake(self, home: str) -> dict[str, Any]:
        """Drain the topic of payments into a new lake, as the stream does; making its tables counts."""
        layout = Layout(CHECKOUT, Path(home))
        layout.data.mkdir(parents=True)
        begun = time.perf_counter()
        queries = open_queries(self.spark, self.settings, layout, [PAYMENTS])
        queries.start({"availableNow": True})
        queries.follow(threading.Event())
        return {"seconds": time.perf_counter() - begun}

    def nowhere(self, home: str) -> dict[str, Any]:
        """Read and judge the topic in the same batches, and write nothing."""
        judged, rows = Judged(load_entity(PAYMENTS)), 0

        def batch(messages: DataFrame, _number: int) -> None:
            judged.of(messages).write.format("noop").mode("overwrite").save()

        checkpoint = Path(home) / "checkpoint"
        begun = time.perf_counter()
        query = (
            self._messages(streaming=True)
            .writeStream.foreachBatch(batch)
            .option("checkpointLocation", checkpoint.as_uri())
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
        seconds = time.perf_counter() - begun
        for number in (checkpoint / "offsets").iterdir():
            if number.name.isdigit():
                ends = json.loads(number.read_text(encoding="utf-8").strip().splitlines()[-1])
                rows = max(rows, sum(sum(each.values()) for each in ends.values()))
        shutil.rmtree(checkpoint)
        return {"seconds": seconds, "rows": rows}

    def jdbc(self, file: str, table: str, url: str, user: str, password: str, *, repeats: bool) -> dict[str, Any]:
        """Write a Parquet file's rows to a table by Spark's JDBC writer, as fast as its options make it."""
        begun = time.perf_counter()
        rows = self.spark.read.parquet(Path(file).as_uri())
        if repeats:
            rows = rows.dropDuplicates(["transaction_id", "status"])
        properties = {
            "user": user,
            "password": password,
            "driver": "org.postgresql.Driver",
            "batchsize": "10000",
            "reWriteBatchedInserts": "true",
            "stringtype": "unspecified",
        }
        rows.repartition(2).write.jdbc(url, table, mode="append", properties=properties)
        return {"seconds": time.perf_counter() - begun}

    def books(self, home: str) -> dict[str, Any]:
        """Return what judging gives: dead letters, and count and sum by currency of what is well-formed."""
        _ = home
        judged = Judged(load_entity(PAYMENTS)).of(self._messages(streaming=False))
        found = judged.groupBy("dead", "currency").agg({"*": "count", "amount": "sum"}).collect()
        alive = [row for row in found if not row["dead"]]
        return {
            "dead": sum(row["count(1)"] for row in found if row["dead"]),
            "count": sum(row["count(1)"] for row in alive),
            "amounts": {row["currency"]: str(row["sum(amount)"]) for row in alive},
        }

    def _messages(self, *, streaming: bool) -> DataFrame:
        reader: Any = self.spark.readStream if streaming else self.spark.read
        reader = (
            reader.format("kafka")
            .options(**broker.source_options(self.settings))
            .option("subscribe", load_entity(PAYMENTS).topic.name)
            .option("startingOffsets", "earliest")
            .option("includeHeaders", "true")
        )
        if streaming:
            reader = reader.option("maxOffsetsPerTrigger", self.settings.max_offsets_per_trigger)
        messages: DataFrame = reader.load()
        return messages


def main() -> None:
    """Answer each line; the first one starts the session."""
    answer, sys.stdout = sys.stdout, sys.stderr
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    work = Work(**json.loads(sys.stdin.readline()))
    answer.write("{}\n")
    answer.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        said = getattr(work, asked.pop("do"))(**asked)
        answer.write(json.dumps(said) + "\n")
        answer.flush()
    work.spark.stop()


if __name__ == "__main__":
    main()
