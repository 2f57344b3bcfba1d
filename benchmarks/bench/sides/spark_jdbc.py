"""Peer: Spark's JDBC writer, in a session that stays warm."""

import json
import sys
import time
from pathlib import Path

from contracts.layout import find_layout
from spark_streaming.session import start_session
from spark_streaming.settings import StreamSettings


def main() -> None:
    """Answer each line; the first one starts the session."""
    answer, sys.stdout = sys.stdout, sys.stderr
    told = json.loads(sys.stdin.readline())
    layout = find_layout()
    (layout.state / "spark").mkdir(parents=True, exist_ok=True)
    settings = StreamSettings(spark_ui_port=0)
    import os

    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--driver-class-path {told['driver']} pyspark-shell"
    spark = start_session(settings, layout, "bench jdbc", ui=False)
    answer.write("{}\n")
    answer.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        begun = time.perf_counter()
        rows = spark.read.parquet(Path(asked["file"]).as_uri())
        if asked["repeats"]:
            rows = rows.dropDuplicates(["transaction_id", "status"])
        properties = {
            "user": told["user"],
            "password": told["password"],
            "driver": "org.postgresql.Driver",
            "batchsize": "10000",
            "reWriteBatchedInserts": "true",
            "stringtype": "unspecified",
            "numPartitions": "2",
        }
        rows.repartition(2).write.jdbc(told["url"], asked["table"], mode="append", properties=properties)
        answer.write(json.dumps({"seconds": time.perf_counter() - begun}) + "\n")
        answer.flush()
    spark.stop()


if __name__ == "__main__":
    main()
