"""What a figure was measured on: versions, processor, cores, memory. Never a host's name."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from control.java import java_version
from core.layout import CHECKOUT, find_layout

PACKAGES = ("pyspark", "confluent-kafka", "kafka-python", "duckdb", "deltalake", "pyarrow", "psycopg")
PEERS = ("deltalake", "msgspec", "dlt", "adbc-driver-postgresql")


def processor() -> str:
    """Return the processor's model."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe() -> dict[str, Any]:
    """Return the machine as the report keeps it."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "load_average": [round(value, 1) for value in os.getloadavg()],
    }


def versions() -> dict[str, str]:
    """Return the versions of what takes part."""
    found = {"tieout": _revision(), "python": platform.python_version(), "java": str(java_version())}
    found |= {name: version(name) for name in PACKAGES}
    for jar in sorted((find_layout().jars / "broker").glob("kafka-tools-[0-9]*.jar")):
        found["kafka"] = jar.stem.removeprefix("kafka-tools-")
    locked = (CHECKOUT / "benchmarks" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split(" ")[0].split("==") for line in locked if line[:1].isalpha())
    return found | {f"peer {name}": pins[name] for name in PEERS}


def _revision() -> str:
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
