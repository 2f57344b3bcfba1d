"""Spark for chunks and for the importance file: reads CSV as text, judges each row, and hands Arrow on."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import OutageError, TieoutError
from core.layout import Layout
from core.settings import Settings

LOOPBACK = "127.0.0.1"
# Java compiles and loads what a first chunk needs: so many before anybody waits.
WARM_UP_CHUNKS = 6
# Optional digits: an amount in another form is no amount. At most what numeric(18,4) holds.
_AMOUNT = r"^[+-]?[0-9]{1,14}(\.[0-9]{1,4})?$"
_WHOLE = "^[0-9]{1,9}$"
CHUNK_COLUMNS = ("step", "customer", "gender", "merchant", "category", "amount")
WEIGHT_COLUMNS = ("Source", "Target", "Weight", "typeTrans")
_CORRUPT = "_tieout_corrupt"


class Spark:
    """A session of this process's own, on this machine.

    Args:
        settings: SPARK_DRIVER_MEMORY; other masters are for the stream.
        layout: the state's folder is where its files are.

    Raises:
        TieoutError: Java does not start.
    """

    def __init__(self, settings: Settings, layout: Layout) -> None:
        self.scratch = layout.state / "patterns"
        shutil.rmtree(self.scratch, ignore_errors=True)  # a killed process's
        self.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._session = _start(settings, self.scratch)

    def close(self) -> None:
        """End Java and remove its files."""
        self._session.stop()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def warm_up(self, header: Sequence[str]) -> None:
        """Read a few chunks that are none, so that the first one is as quick as the others."""
        row = ",".join({"step": "0", "amount": "1.00", "gender": "'F'"}.get(name, "'x'") for name in header)
        data = "\n".join([",".join(header), *([row] * 1_000), ""]).encode()
        for _ in range(WARM_UP_CHUNKS):
            self.read_chunk(data, header)

    def read_chunk(self, data: bytes, header: Sequence[str]) -> Any:
        """Return a chunk's rows as an Arrow table, in their order.

        Columns: row (its place in the chunk, from 0), step, customer, gender, merchant, category (text without the
        quotes around it), amount (decimal(18,4)), reasons (text, separated by blanks; empty for a row that counts).

        Args:
            data: the chunk's bytes.
            header: the names of its columns; those of CHUNK_COLUMNS are among them.
        """
        from pyspark.sql import functions as F  # noqa: N812, PLC0415  (heavy; its usual name)

        path = self.scratch / "chunk.csv"
        path.write_bytes(data)
        rows = self._read(path, header)
        text = {name: _unquoted(F, name) for name in CHUNK_COLUMNS}
        reasons = F.concat_ws(
            " ",
            F.when(F.col(_CORRUPT).isNotNull(), "COLUMNS"),
            *(_unless(F, F.length(text[name]) > 0, f"{name.upper()}_MISSING") for name in ("customer", "merchant")),
            F.when(F.concat(*text.values()).contains("\ufffd"), "BAD_ENCODING"),
            _unless(F, text["step"].rlike(_WHOLE), "STEP_NO_NUMBER"),
            _unless(F, text["gender"].isin("M", "F", "E", "U"), "GENDER_UNKNOWN"),
            _unless(F, text["amount"].rlike(_AMOUNT), "AMOUNT_NO_NUMBER"),
        )
        judged = rows.select(
            F.monotonically_increasing_id().alias("row"),
            reasons.alias("reasons"),
            *(text[name].alias(name) for name in CHUNK_COLUMNS),
        )
        is_good = F.col("reasons") == ""
        found = judged.select(
            "row",
            F.when(is_good, F.col("step")).cast("int").alias("step"),
            "customer",
            "gender",
            "merchant",
            "category",
            F.when(is_good, F.col("amount")).cast("decimal(18,4)").alias("amount"),
            "reasons",
        )
        return self._answer(found.toArrow)

    def sum_weights(self, path: Path, header: Sequence[str]) -> Any:
        """Return the sums of the importance file as an Arrow table.

        Columns: Source, Target, typeTrans, total (decimal), count; and one row with empty names for each reason, with
        the count of rows that cannot be read.

        Args:
            path: CSV, plain or gzip, in `scratch`.
            header: the names of its columns.
        """
        from pyspark.sql import functions as F  # noqa: N812, PLC0415  (heavy; its usual name)

        rows = self._read(path, header)
        text = {name: _unquoted(F, name) for name in WEIGHT_COLUMNS}
        reason = F.concat_ws(
            " ",
            F.when(F.col(_CORRUPT).isNotNull(), "COLUMNS"),
            _unless(F, F.length(text["Source"]) > 0, "SOURCE_MISSING"),
            _unless(F, F.length(text["Target"]) > 0, "TARGET_MISSING"),
            _unless(F, text["Weight"].rlike(_AMOUNT), "WEIGHT_NO_NUMBER"),
        )
        judged = rows.select(reason.alias("reasons"), *(text[name].alias(name) for name in WEIGHT_COLUMNS))
        is_good = F.col("reasons") == ""
        names = [F.when(is_good, F.col(name)).otherwise("").alias(name) for name in ("Source", "Target", "typeTrans")]
        weight = F.when(is_good, F.col("Weight")).cast("decimal(18,4)")
        found = (
            judged.select(*names, "reasons", weight.alias("weight"))
            .groupBy("Source", "Target", "typeTrans", "reasons")
            .agg(F.sum("weight").alias("total"), F.count(F.lit(1)).alias("count"))
        )
        return self._answer(found.toArrow)

    def _read(self, path: Path, header: Sequence[str]) -> Any:
        from pyspark.sql.types import StringType, StructField, StructType  # noqa: PLC0415  (heavy)

        schema = StructType([StructField(name, StringType()) for name in (*header, _CORRUPT)])
        options = {
            "header": "true",
            "multiLine": "true",
            "quote": '"',
            "escape": '"',
            "mode": "PERMISSIVE",
            "columnNameOfCorruptRecord": _CORRUPT,
            "encoding": "UTF-8",
            "maxCharsPerColumn": "-1",
        }
        return self._session.read.schema(schema).options(**options).csv(f"file:{path}")

    def _answer(self, action: Any) -> Any:
        from py4j.protocol import Py4JError, Py4JNetworkError  # noqa: PLC0415  (heavy)

        try:
            return action()
        except (Py4JNetworkError, Py4JError, OSError) as error:
            raise OutageError(
                f"Spark does not answer: {type(error).__name__}.",
                "every chunk that was applied counts once.",
                "the same command, which goes on",
            ) from error


def _unquoted(functions: Any, name: str) -> Any:
    """Return a column without blanks and single quotes around it; null is empty."""
    column = functions.trim(functions.coalesce(functions.col(name), functions.lit("")))
    return functions.regexp_replace(column, "^'(.*)'$", "$1")


def _unless(functions: Any, is_good: Any, code: str) -> Any:
    return functions.when(~functions.coalesce(is_good, functions.lit(False)), code)


def _start(settings: Settings, scratch: Path) -> Any:
    from pyspark.sql import SparkSession  # noqa: PLC0415  (heavy)

    os.environ["SPARK_LOCAL_IP"] = LOOPBACK
    os.environ["SPARK_LOCAL_HOSTNAME"] = LOOPBACK
    os.environ["LC_ALL"] = "C.UTF-8"
    log_config = Path(__file__).with_name("log4j2.properties").as_uri()
    options = ["-Duser.timezone=UTC", "-XX:+ExitOnOutOfMemoryError", "-XX:+UseParallelGC", "-XX:TieredStopAtLevel=1"]
    conf = {
        "spark.master": "local[2]",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.extraJavaOptions": " ".join([f"-Dlog4j2.configurationFile={log_config}", *options]),
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": f"file:{scratch / 'warehouse'}",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.adaptive.enabled": "false",
        "spark.authenticate": "true",
    }
    builder = SparkSession.builder.appName("tieout patterns")
    for name, value in conf.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except Exception as error:  # what PySpark raises here differs by what is wrong with Java
        raise TieoutError(
            f"Spark did not start: {str(error).strip().splitlines()[0]}",
            "nothing was read or written.",
            "./scripts/tieout doctor (Java 17 is needed)",
        ) from error
