"""Executors that are not the stream's own process: their sizes, their way to the driver, and their Python."""

import os
import sys
from pathlib import Path

from core import failpoints
from core.errors import TieoutError
from core.settings import Settings

LOOPBACK = "127.0.0.1"
# The folder into which Spark unpacks the archive where an executor works.
UNPACKED = "tieout"


def are_elsewhere(settings: Settings) -> bool:
    """Say whether executors are on other machines: then they need an address of the driver that they can reach."""
    return not settings.spark_driver_host.startswith("127.")


def python_of(settings: Settings) -> str:
    """Return the Python that executors start."""
    return f"./{UNPACKED}/bin/python" if settings.spark_python_archive and _has_executors(settings) else sys.executable


def network_conf(settings: Settings) -> dict[str, str]:
    """Return under which address executors find the driver. Over a network everything is encrypted."""
    host = {"spark.driver.host": settings.spark_driver_host, "spark.driver.bindAddress": settings.spark_driver_bind}
    if not are_elsewhere(settings):
        return host
    # The events, and the keys of Kafka and store, go over these connections.
    return host | {"spark.network.crypto.enabled": "true", "spark.network.crypto.saslFallback": "false"}


def executors_conf(settings: Settings) -> dict[str, str]:
    """Return what executors of their own need: one core each, logs of a bounded size, Python, and the drill's orders.

    Raises:
        TieoutError: the archive with their Python is not there.
    """
    if not _has_executors(settings):
        return {}
    sizes = {
        "spark.executor.memory": settings.spark_executor_memory,
        "spark.executor.cores": "1",
        "spark.cores.max": str(settings.spark_executor_cores),
        "spark.executor.instances": str(settings.spark_executor_cores),  # what Kubernetes and YARN go by
        "spark.executor.logs.rolling.strategy": "size",
        "spark.executor.logs.rolling.maxSize": str(10 << 20),
        "spark.executor.logs.rolling.maxRetainedFiles": "3",
        "spark.executorEnv.LC_ALL": "C.UTF-8",
    }
    order = os.environ.get(failpoints.VARIABLE)
    return {
        **({} if settings.spark_master.startswith("local") else sizes),
        **_archive(settings),
        **({f"spark.executorEnv.{failpoints.VARIABLE}": order} if order else {}),
    }


def _archive(settings: Settings) -> dict[str, str]:
    if not settings.spark_python_archive:
        return {}
    file = Path(settings.spark_python_archive)
    if not file.is_file():
        raise TieoutError(
            f"SPARK_PYTHON_ARCHIVE names {file}, and there is no such file.",
            "nothing was started or written.",
            f"./scripts/tieout pack --to {file}",
        )
    return {"spark.archives": f"{file.resolve().as_uri()}#{UNPACKED}"}


def _has_executors(settings: Settings) -> bool:
    return not settings.spark_master.startswith("local[") and settings.spark_master != "local"
