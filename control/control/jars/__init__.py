"""The JARs of broker and Spark: listed with sha256, checked, and fetched by the Ivy that ships in PySpark."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from core.errors import TieoutError
from core.layout import Layout

HERE = Path(__file__).parent
LOCK = HERE / "jars.lock"
SETS = ("broker", "spark")


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listed(text: str) -> dict[str, str]:
    """Return the sha256 of each JAR of a lock file, by its path below the JARs' folder."""
    pairs = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {name: digest for digest, name in pairs}


def present(folder: Path) -> dict[str, str]:
    """Return the sha256 of each JAR that is there, by its path below the folder."""
    found = (path for name in SETS for path in sorted((folder / name).glob("*.jar")))
    return {str(path.relative_to(folder)): _sum(path) for path in found}


def differences(folder: Path, lock: Path = LOCK) -> list[str]:
    """Say what is missing, different or too much; empty when the folder is exactly what the lock lists."""
    wanted, there = listed(lock.read_text(encoding="utf-8")), present(folder)
    lines = [f"missing: {name}" for name in sorted(wanted.keys() - there.keys())]
    lines += [f"not in the lock: {name}" for name in sorted(there.keys() - wanted.keys())]
    changed = (name for name in sorted(wanted.keys() & there.keys()) if there[name] != wanted[name])
    return lines + [f"other content: {name}" for name in changed]


def write_lock(folder: Path, lock: Path = LOCK) -> int:
    """List what is there, in the form of sha256sum, and return how many JARs that is."""
    there = present(folder)
    lines = ["# sha256 and path below .tieout/jars; written by scripts/update-locks.sh"]
    lines += [f"{digest}  {name}" for name, digest in there.items()]
    lock.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(there)


def fetch(layout: Layout) -> None:
    """Fetch every JAR into a folder beside, check it against the lock, and put it in place.

    Raises:
        TieoutError: Ivy failed, or what it brought is not what the lock lists. The old folder stays.
    """
    layout.jars.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=layout.jars.parent, prefix="jars."))
    try:
        resolve(fresh)
        wrong = differences(fresh)
        if wrong:
            raise TieoutError(
                f"the fetched JARs are not those of {LOCK.name}: {wrong[0]} ({len(wrong)} in all).",
                "the JARs that were there before stay in use.",
                "./scripts/setup.sh again; if a version was changed on purpose, ./scripts/update-locks.sh",
            )
        fresh.chmod(0o755)
        if layout.jars.exists():
            shutil.rmtree(layout.jars)
        fresh.rename(layout.jars)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def resolve(folder: Path) -> None:
    """Let Ivy put the JARs of ivy.xml into a folder, one below it for each set."""
    spark = find_spec("pyspark")
    if spark is None or spark.origin is None:
        raise TieoutError("package pyspark is not installed.", "nothing was fetched.", "./scripts/setup.sh")
    ivy = next((Path(spark.origin).parent / "jars").glob("ivy-*.jar"))
    command = ["java", "-jar", str(ivy), "-settings", str(HERE / "ivysettings.xml"), "-ivy", str(HERE / "ivy.xml")]
    # Both types, as two words: with a comma Ivy copies nothing, and says nothing.
    # Relative: in a pattern brackets of the folder's own path would have a meaning.
    command += ["-retrieve", "[conf]/[artifact]-[revision].[ext]", "-types", "jar", "bundle"]
    locale = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=locale)
    if done.returncode != 0 or not all((folder / name).is_dir() for name in SETS):
        said = [line.strip() for line in done.stdout.splitlines() if "not found" in line or "ERROR" in line]
        why = said[0] if said else done.stderr.strip()[:200] or "no message"
        raise TieoutError(f"the JARs could not be fetched: {why}", "nothing was changed.", "./scripts/setup.sh again")
