"""What Spark's master and workers share: its programs, on this machine only, known to each other by a secret."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from control.loopback import page_answers
from control.service import BATCH, Folder, Group, Service
from core.layout import CHECKOUT

if TYPE_CHECKING:
    from control.processes import Platform

JVM = (
    *("-Xmx192m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"),
    *("--add-opens=java.base/java.nio=ALL-UNNAMED", "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"),
    *("-Duser.timezone=UTC", "-Dspark.authenticate=true", "-Dspark.port.maxRetries=0"),
    # Anybody on this machine reaches the pages: they show, and do nothing.
    *("-Dspark.ui.killEnabled=false", "-Dspark.master.ui.decommission.allow.mode=DENY"),
    *("-Dspark.master.rest.enabled=false", "-Dspark.worker.cleanup.enabled=true"),
    "-Dspark.worker.cleanup.appDataTtl=86400",
)
LOG_CONFIG = CHECKOUT / "spark-streaming" / "spark_streaming" / "log4j2.properties"


def _home() -> Path:
    """Return where PySpark has Spark's programs; importing it would take a second."""
    found = find_spec("pyspark")
    assert found is not None  # noqa: S101  # of this environment
    assert found.origin is not None  # noqa: S101  # a file
    return Path(found.origin).parent


def java(part: str, *options: str) -> list[str]:
    """Return the command of a part of Spark; no secret is in it."""
    log = f"-Dlog4j2.configurationFile={LOG_CONFIG.as_uri()}"
    return ["java", *JVM, log, *options, "-cp", f"{_home() / 'jars'}/*", f"org.apache.spark.deploy.{part}"]


def environment(platform: "Platform") -> Mapping[str, str]:
    """Return what a part of Spark gets besides; its executors get it from a worker."""
    return {
        "SPARK_HOME": str(_home()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_SCALA_VERSION": "2.13",  # its launcher would look for the folders of a build
        "LC_ALL": "C.UTF-8",
        "_SPARK_AUTH_SECRET": platform.settings["SPARK_AUTH_SECRET"],
    }


def _twice(memory: str) -> str:
    return f"{2 * int(memory[:-1])}{memory[-1].lower()}"


def worker(number: int) -> Service:
    """Return a worker: it has room for an executor of the stream, and for one of whoever takes over from it."""
    port, page = f"SPARK_WORKER_{number}_PORT", f"SPARK_WORKER_{number}_UI_PORT"

    def command(platform: "Platform") -> list[str]:
        settings = platform.settings
        memory = _twice(settings.get("SPARK_EXECUTOR_MEMORY") or "700m")
        return [
            *java("worker.Worker"),
            *("--host", "127.0.0.1", "--port", settings[port], "--webui-port", settings[page]),
            *("--cores", "2", "--memory", memory, "--work-dir", str(platform.layout.state / f"spark-worker-{number}")),
            settings["SPARK_MASTER"],
        ]

    return Service(
        name=f"spark-worker-{number}",
        place=14 + number,
        group=Group.BASE,
        command=command,
        environment=environment,
        adds={port: str(7077 + number), page: str(8090 + number)},
        ports=(port, page),
        waits_for=("spark-master",),
        priority=BATCH,
        check=page_answers(page, "/json/"),
        url=lambda settings: f"http://127.0.0.1:{settings[page]}",
        folders=lambda layout, _: [Folder(layout.state / f"spark-worker-{number}", made="always")],
    )
