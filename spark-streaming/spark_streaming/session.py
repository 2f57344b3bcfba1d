"""The Spark session: everything on 127.0.0.1, UTC, strict casts, and a lake that other readers can read."""

import os
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import SparkSession

from core.layout import Layout
from core.settings import Settings
from spark_streaming.callbacks import require_token
from spark_streaming.errors import StreamError

LOOPBACK = "127.0.0.1"

LAKE_CONF: Mapping[str, str] = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # The default of 50 costs several seconds of CPU a commit on a small machine.
    "spark.databricks.delta.snapshotPartitions": "2",
    # VACUUM lists folders in so many tasks; the default of 10,000 held the stream up for a minute a table.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
    "spark.sql.parquet.compression.codec": "zstd",
    # A batch has one day, or two about midnight: a file open for each costs less than sorting all rows by day.
    "spark.sql.maxConcurrentOutputFileWriters": "4",
    # INT96, Spark's default, has no statistics, and other readers are giving it up.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Nearly every row has its own value in these: building a dictionary and giving it up costs a tenth of the write.
    **{f"spark.hadoop.parquet.enable.dictionary#{name}": "false" for name in ("raw_value", "transaction_id", "seq")},
    # Hadoop makes folders by this one and not by the umask of the process: the lake is its owner's alone.
    "spark.hadoop.fs.permissions.umask-mode": "077",
    "spark.databricks.delta.optimize.maxFileSize": str(128 * 1024 * 1024),
    "spark.databricks.delta.optimize.minFileSize": str(64 * 1024 * 1024),
}

ENGINE_CONF: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    # A batch is kept for the three times that it is read; compressing it costs more than the room is worth.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    "spark.ui.showConsoleProgress": "false",
    # Anybody on this machine reaches the page: it shows, and does nothing.
    "spark.ui.killEnabled": "false",
    "spark.ui.threadDumpsEnabled": "false",
    "spark.ui.heapHistogramEnabled": "false",
    "spark.redaction.regex": "(?i)secret|password|passwd|token|access[.]?key|jaas",
    "spark.ui.retainedJobs": "100",
    "spark.ui.retainedStages": "100",
    "spark.sql.ui.retainedExecutions": "50",
    "spark.sql.streaming.ui.retainedQueries": "5",
    "spark.sql.streaming.numRecentProgressUpdates": "5",
    # Where another program has the page's port the session ends: it would take the next one and nobody would know.
    "spark.port.maxRetries": "0",
    "spark.driver.host": LOOPBACK,
    "spark.driver.bindAddress": LOOPBACK,
}


def jar_files(layout: Layout) -> list[Path]:
    """Return Spark's extra JARs: Delta and the Kafka source.

    Raises:
        StreamError: they are not installed.
    """
    jars = sorted((layout.jars / "spark").glob("*.jar"))
    if not jars:
        raise StreamError(
            f"There is no JAR in {layout.jars / 'spark'}.", "nothing was started or written.", "./scripts/setup.sh"
        )
    return jars


def session_conf(settings: Settings, layout: Layout) -> dict[str, str]:
    """Return the whole Spark configuration. It holds no secret: it is visible in the process list."""
    log_config = Path(__file__).with_name("log4j2.properties").as_uri()
    scratch = layout.state / "spark"
    # As one method the rules are quickest for the quick compiler alone; the good one (C2) never finishes it.
    one_method = "-XX:TieredStopAtLevel=1" in settings.spark_java_options.split()
    java_options = [
        "-Duser.timezone=UTC",
        "-XX:+ExitOnOutOfMemoryError",
        *(["-XX:-DontCompileHugeMethods"] if one_method else []),
        *_collector(settings.spark_java_options),
        *settings.spark_java_options.split(),
    ]
    derby = _quoted(f"-Dderby.system.home={scratch}")
    driver_options = [f"-Dlog4j2.configurationFile={log_config}", derby, *java_options]
    return {
        **ENGINE_CONF,
        **LAKE_CONF,
        # 8,000 bytes is the largest method that Java compiles by itself, 65,535 the largest that there is.
        "spark.sql.codegen.hugeMethodLimit": "65535" if one_method else "8000",
        "spark.master": settings.spark_master,
        # Spark draws the secret itself where it needs none but its own process.
        "spark.authenticate": str(settings.spark_master.startswith("local")).lower(),
        "spark.jars": ",".join(jar.as_uri() for jar in jar_files(layout)),
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.extraJavaOptions": " ".join(driver_options),
        # For a SPARK_MASTER with executors of their own.
        # Spark refuses its own properties there: executors get them from the driver.
        "spark.executor.extraJavaOptions": " ".join(each for each in java_options if not each.startswith("-Dspark")),
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": f"file:{scratch / 'warehouse'}",  # Hadoop takes a URI's escapes for the name
        "spark.ui.port": str(settings.spark_ui_port),
    }


def _quoted(option: str) -> str:
    """Return an option as Spark's own splitting of a line of options gives it back."""
    escaped = option.replace("\\", "\\\\").replace('"', '\\"')
    return option if re.fullmatch(r"[\w./=:-]*", option, re.ASCII) else f'"{escaped}"'


def _collector(own: str) -> list[str]:
    """Return the options of the garbage collector, unless the user names one.

    G1, Java's default, marks the heap anew for each large column of a batch that is kept.
    """
    large_pages = ["-XX:+UseTransparentHugePages"] if sys.platform == "linux" else []
    if re.search(r"-XX:\+Use\w+GC\b", own):
        return large_pages
    return ["-XX:+UseParallelGC", "-XX:-UseGCOverheadLimit", *large_pages]


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def start_session(settings: Settings, layout: Layout, name: str, *, ui: bool) -> SparkSession:
    """Start Spark for this process.

    Args:
        name: shown in Spark's UI.
        ui: serve Spark's UI on 127.0.0.1 at SPARK_UI_PORT.

    Raises:
        StreamError: JARs are missing, Java does not start, or the page's port is taken.
    """
    # Read by Spark before its configuration is: without them the UI listens on every interface.
    os.environ["SPARK_LOCAL_IP"] = LOOPBACK
    os.environ["SPARK_LOCAL_HOSTNAME"] = LOOPBACK
    # In the locale C Java cannot name a folder whose path is not ASCII.
    os.environ["LC_ALL"] = "C.UTF-8"
    (layout.state / "spark").mkdir(parents=True, exist_ok=True, mode=0o700)
    builder = SparkSession.builder.appName(name).config("spark.ui.enabled", str(ui).lower())
    for key, value in session_conf(settings, layout).items():
        builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
        require_token(spark)
        return spark
    except Exception as error:  # what PySpark raises here differs by what is wrong with Java
        if ui and _is_taken(settings.spark_ui_port):  # Java has ended: its own words are in the log alone
            raise StreamError(
                f"Spark did not start: port {settings.spark_ui_port} of SPARK_UI_PORT is taken.",
                "nothing was read or written.",
                "./scripts/start.sh, which takes the next free one where another program has it",
            ) from error
        raise StreamError(
            f"Spark did not start: {str(error).strip().splitlines()[0]}",
            "nothing was read or written.",
            "./scripts/tieout doctor (Java 17 is needed)",
        ) from error
