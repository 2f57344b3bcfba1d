"""The one JAR that only a peer needs: PostgreSQL's JDBC driver, fetched as the platform's JARs are, checked by sum."""

import hashlib
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from bench.frame import UnavailableError
from bench.ground import installing
from control.jars import HERE
from core.layout import CHECKOUT

DRIVER = ("org.postgresql", "postgresql", "42.7.7")
DRIVER_SUM = "157963d60ae66d607e09466e8c0cdf8087e9cb20d0159899ffca96bca2528460"


def jdbc_driver() -> Path:
    """Return the driver's JAR, fetched on first use.

    Raises:
        UnavailableError: it cannot be fetched, or is not what it should be.
    """
    path = CHECKOUT / ".tieout" / "bench-jars" / f"{DRIVER[1]}-{DRIVER[2]}.jar"
    if not path.exists():
        _fetch(path)
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != DRIVER_SUM:
            raise UnavailableError(f"{path} is not the driver that was expected; delete it")
    return path


def _fetch(path: Path) -> None:
    spark = find_spec("pyspark")
    if spark is None or spark.origin is None:
        raise UnavailableError("package pyspark is not installed")
    ivy = next((Path(spark.origin).parent / "jars").glob("ivy-*.jar"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as beside:
        command = ["java", "-jar", str(ivy), "-settings", str(HERE / "ivysettings.xml"), "-dependency", *DRIVER]
        command += ["-retrieve", f"{beside}/[artifact]-[revision].[ext]", "-types", "jar", "bundle"]
        subprocess.run(command, capture_output=True, check=False, cwd=beside, env=installing())
        brought = Path(beside) / path.name
        if not brought.exists():
            raise UnavailableError("PostgreSQL's JDBC driver could not be fetched")
        brought.replace(path)
