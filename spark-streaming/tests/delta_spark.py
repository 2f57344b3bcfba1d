"""A Spark with Delta in a process of its own, as another team reads the lake: the stream's own session has no Delta.

Each line of its input is a piece of work as JSON; each line of its output says that one is done.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from core.layout import CHECKOUT, Layout

CONF = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.session.timeZone": "UTC",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
}


class DeltaSpark:
    """The process, from outside."""

    def __init__(self, process: "subprocess.Popen[str]", scratch: Path) -> None:
        self._process, self._scratch = process, scratch

    def wait(self) -> None:
        """Wait until it has started, or ended its work."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "done\n", "Spark's own words are above"

    def _do(self, **work: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(work) + "\n")
        self._process.stdin.flush()
        self.wait()

    def read(self, uri: str, where: str = "true") -> pa.Table:
        """Return the rows of a table."""
        path = self._scratch / "rows.arrow"
        self._do(uri=uri, where=where, to=str(path))
        with pa.OSFile(str(path)) as file:
            return pa.ipc.open_file(file).read_all()

    def append(self, uri: str, app: str, version: int) -> None:
        """Append a row like that of offset 0 at an offset that is the transaction's number."""
        self._do(uri=uri, app=app, version=version)


@contextmanager
def delta_spark(scratch: Path) -> Iterator[DeltaSpark]:
    """Start Spark with Delta, and end it with the block."""
    with subprocess.Popen(
        [sys.executable, __file__, str(scratch)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=scratch
    ) as process:
        spark = DeltaSpark(process, scratch)
        spark.wait()
        try:
            yield spark
        finally:
            assert process.stdin is not None
            process.stdin.close()


def _work(spark: SparkSession, work: dict[str, Any]) -> None:
    rows = spark.read.format("delta").load(work["uri"])
    if "to" in work:
        found = rows.where(work["where"]).toArrow()
        with pa.OSFile(work["to"], "wb") as file, pa.ipc.new_file(file, found.schema) as writer:
            writer.write_table(found)
        return
    names = [f"`{name}`" for name in rows.columns]
    moved = [f"cast({work['version']} as bigint) as `offset`" if name == "`offset`" else name for name in names]
    new = rows.where("`offset` = 0").selectExpr(*moved).write.format("delta").mode("append")
    new.option("txnAppId", work["app"]).option("txnVersion", work["version"]).save(work["uri"])


if __name__ == "__main__":
    jars = ",".join(jar.as_uri() for jar in (Layout(CHECKOUT, CHECKOUT).jars / "spark").glob("*.jar"))
    builder = SparkSession.builder.master("local[2]").config("spark.jars", jars)
    for key, value in {**CONF, "spark.sql.warehouse.dir": sys.argv[1]}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    print("done", flush=True)
    for line in sys.stdin:
        _work(session, json.loads(line))
        print("done", flush=True)
    session.stop()
