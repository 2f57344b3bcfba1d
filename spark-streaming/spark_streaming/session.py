"""The Spark session: in UTC, and on 127.0.0.1 unless its executors are elsewhere."""

import atexit
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from core.errors import TieoutError
from core.layout import Layout
from core.settings import Settings
from spark_streaming.callbacks import require_token
from spark_streaming.errors import StreamError
from spark_streaming.executors import LOOPBACK, are_elsewhere, executors_conf, network_conf, python_of

# A socket's whole path has 108 bytes at most; its name is a dot, 36 letters and an end.
LONGEST_SOCKET_FOLDER = 60
# Spark draws the secret of its own connections for every other master.
TOLD_THE_SECRET = ("spark://", "local-cluster")

ENGINE_CONF: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # Anybody on this machine reaches the page: it shows, and does nothing.
    "spark.ui.killEnabled": "false",
    "spark.ui.threadDumpsEnabled": "false",
    "spark.ui.heapHistogramEnabled": "false",
    "spark.redaction.regex": "(?i)secret|password|passwd|token|access[.]?key|jaas|keystore",
    "spark.ui.retainedJobs": "100",
    "spark.ui.retainedStages": "100",
    "spark.sql.ui.retainedExecutions": "50",
    "spark.sql.streaming.ui.retainedQueries": "5",
    "spark.sql.streaming.numRecentProgressUpdates": "5",
    # Where another program has the page's port the session ends: it would take the next one and nobody would know.
    "spark.port.maxRetries": "0",
    # On a port, which the workers have without this, any account could let them begin more and more processes.
    "spark.python.unix.domain.socket.enabled": "true",
}


def jar_files(layout: Layout) -> list[Path]:
    """Return Spark's extra JARs: the Kafka source. The lake is written and read without Spark's Delta.

    Raises:
        StreamError: they are not installed.
    """
    jars = sorted(jar for jar in (layout.jars / "spark").glob("*.jar") if not jar.name.startswith("delta-"))
    if not jars:
        raise StreamError(
            f"There is no JAR in {layout.jars / 'spark'}.", "nothing was started or written.", "./scripts/setup.sh"
        )
    return jars


def session_conf(settings: Settings, layout: Layout) -> dict[str, str]:
    """Return the whole Spark configuration. It holds no secret: it is visible in the process list."""
    log_config = Path(__file__).with_name("log4j2.properties").as_uri()
    scratch = layout.state / "spark"
    java_options = [
        "-Duser.timezone=UTC",
        "-XX:+ExitOnOutOfMemoryError",
        *_defaults(settings.spark_java_options),
        *settings.spark_java_options.split(),
    ]
    derby = _quoted(f"-Dderby.system.home={scratch}")
    driver_options = [f"-Dlog4j2.configurationFile={log_config}", derby, *java_options]
    return {
        **ENGINE_CONF,
        **network_conf(settings),
        "spark.master": settings.spark_master,
        "spark.authenticate": "true",
        "spark.jars": ",".join(jar.as_uri() for jar in jar_files(layout)),
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.extraJavaOptions": " ".join(driver_options),
        # For a SPARK_MASTER with executors of their own.
        # Spark refuses its own properties there: executors get them from the driver.
        "spark.executor.extraJavaOptions": " ".join(each for each in java_options if not each.startswith("-Dspark")),
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": f"file:{scratch / 'warehouse'}",  # Hadoop takes a URI's escapes for the name
        "spark.ui.port": str(settings.spark_ui_port),
        # A folder of this machine; those of other machines have their own for temporary files.
        **({} if are_elsewhere(settings) else {"spark.python.unix.domain.socket.dir": str(_sockets(layout))}),
        **executors_conf(settings),
    }


def _sockets(layout: Layout) -> Path:
    """Return the folder of the sockets between Java and its Python workers, which only the owner may enter."""
    folder = layout.state / "spark" / "sockets"
    if len(os.fsencode(folder)) > LONGEST_SOCKET_FOLDER:
        short = Path(tempfile.mkdtemp(prefix="tieout-"))
        atexit.register(shutil.rmtree, short, ignore_errors=True)
        return short
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _quoted(option: str) -> str:
    """Return an option as Spark's own splitting of a line of options gives it back."""
    escaped = option.replace("\\", "\\\\").replace('"', '\\"')
    return option if re.fullmatch(r"[\w./=:-]*", option, re.ASCII) else f'"{escaped}"'


def _defaults(own: str) -> list[str]:
    """Return compiler and garbage collector, unless the user names them.

    Java only reads Kafka and hands Arrow batches on: the quick compiler alone (C1) costs least at any size.
    """
    compiler = [] if re.search(r"-XX:[+-]?Tiered", own) else ["-XX:TieredStopAtLevel=1"]
    large_pages = ["-XX:+UseTransparentHugePages"] if sys.platform == "linux" else []
    collector = [] if re.search(r"-XX:\+Use\w+GC\b", own) else ["-XX:+UseParallelGC", "-XX:-UseGCOverheadLimit"]
    return [*compiler, *collector, *large_pages]


def _with_secret(builder: SparkSession.Builder, conf: Mapping[str, str], settings: Settings) -> SparkSession.Builder:
    """Start Java by what everybody may see in the process list, and tell it the secret afterwards."""
    secret = settings.secret("SPARK_AUTH_SECRET", "nothing was started or written.")
    SparkContext._ensure_initialized(conf=SparkConf(loadDefaults=False).setAll(list(conf.items())))
    return builder.config("spark.authenticate.secret", secret)


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
    # The workers need the packages of this process, and files that are its owner's alone.
    os.environ["PYSPARK_PYTHON"] = python_of(settings)
    # In the locale C Java cannot name a folder whose path is not ASCII.
    os.environ["LC_ALL"] = "C.UTF-8"
    (layout.state / "spark").mkdir(parents=True, exist_ok=True, mode=0o700)
    builder = SparkSession.builder.appName(name).config("spark.ui.enabled", str(ui).lower())
    conf = session_conf(settings, layout)
    for key, value in conf.items():
        builder = builder.config(key, value)
    try:
        if settings.spark_master.startswith(TOLD_THE_SECRET):
            builder = _with_secret(builder, conf, settings)
        spark = builder.getOrCreate()
        require_token(spark)
        return spark
    except TieoutError:
        raise
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
