"""Peer: from Kafka by Spark's own JSON reader to a Parquet sink, and from there by its JDBC writer to PostgreSQL."""

import json
import os
import sys
import time
from pathlib import Path

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.layout import Layout, find_layout
from core.settings import load_settings
from spark_streaming import broker
from spark_streaming.session import start_session


def main() -> None:
    """Drain what the topic holds, once; the session's start counts, as it does for ours."""
    told = json.loads(sys.stdin.read())
    answer, sys.stdout = sys.stdout, sys.stderr
    begun = time.perf_counter()
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--driver-class-path {told['driver']} pyspark-shell"
    layout, entity = find_layout(), load_entity(PAYMENTS)
    settings = load_settings(layout)
    home = Path(told["home"])
    # Another account's than the services': they could not enter its folders in the platform's home.
    spark = start_session(settings, Layout(layout.checkout, home), "bench stock", ui=False)
    spark.sparkContext.setLogLevel("ERROR")
    options = broker.client_options(settings)
    kinds = {"decimal": "DECIMAL(20,4)", "boolean": "BOOLEAN", "timestamp": "TIMESTAMP"}
    schema = ", ".join(f"{field.name} {kinds.get(field.type, 'STRING')}" for field in entity.fields)
    names = [f"e.{field.name} AS {field.stored_as}" for field in entity.fields]
    query = (
        spark.readStream.format("kafka")
        .options(**{f"kafka.{name}": value for name, value in options.items()})
        .option("subscribe", entity.topic.name)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", settings.max_offsets_per_trigger)
        .load()
        .selectExpr(f"from_json(cast(value AS string), '{schema}') AS e", "timestamp AS known_at")
        .selectExpr(*names, "known_at")
        .writeStream.format("parquet")
        .option("path", (home / "parquet").as_uri())
        .option("checkpointLocation", (home / "checkpoint").as_uri())
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    properties = {
        "user": told["user"],
        "password": told["password"],
        "driver": "org.postgresql.Driver",
        "batchsize": "10000",
        "reWriteBatchedInserts": "true",
    }
    rows = spark.read.parquet((home / "parquet").as_uri())
    rows.repartition(2).write.jdbc(told["url"], told["table"], mode="append", properties=properties)
    spark.stop()
    answer.write(json.dumps({"seconds": time.perf_counter() - begun}) + "\n")


if __name__ == "__main__":
    main()
