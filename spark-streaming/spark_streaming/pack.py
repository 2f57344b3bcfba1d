"""`tieout pack`: the Python packages that tasks need, in one file that Spark hands to its executors.

It is for executors on other machines of the same kind, which need Java and a plain Python of the same version.
"""

import errno
import importlib.metadata
import io
import re
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from core.errors import TieoutError
from spark_streaming.code import PACKAGES, folder_of

# Spark brings these two to its executors; the third makes a command of this checkout.
_NOT_NEEDED = {"pyspark", "py4j", "tieout"}
_EXTRAS = ("core", "contracts", "spark-streaming")
_PYTHON = """\
#!/bin/sh
# The machine's own Python, with the packages of this archive.
here=$(cd "$(dirname "$0")/.." && pwd)
command -v python3.11 > /dev/null || { echo 'Cannot run program "python3.11"' >&2; exit 127; }
PYTHONPATH="$here/lib${PYTHONPATH:+:$PYTHONPATH}" exec python3.11 "$@"
"""


def pack(target: Path) -> int:
    """Write the archive, whole or not at all; return its size in bytes.

    Raises:
        TieoutError: the file cannot be written.
    """
    if not target.name:
        raise TieoutError(
            f"'{target}' names no file.", "nothing was written.", "./scripts/tieout pack --to python.tar.gz"
        )
    unfinished = target.with_name(f"{target.name}.part")
    try:
        if target.exists() and not target.is_file():
            raise OSError(errno.EEXIST, "it is there, and no regular file")
        with tarfile.open(unfinished, "w:gz", compresslevel=1) as archive:
            _add(archive, "bin/python", _PYTHON.encode(), mode=0o755)
            for name, file in sorted(_files().items()):
                archive.add(file, f"lib/{name}", recursive=False)
        unfinished.replace(target)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise TieoutError(
            f"{target} cannot be written: {error.strerror or error}.",
            "nothing was changed.",
            "./scripts/tieout pack --to FILE, in a folder that is there and has room for 300 MB",
        ) from None
    return target.stat().st_size


def _files() -> dict[str, Path]:
    """Return the files of the packages, by their path in the archive."""
    found: dict[str, Path] = {}
    for package in PACKAGES:
        folder = folder_of(package)
        found |= {f"{package}/{file.relative_to(folder)}": file for file in folder.rglob("*") if file.is_file()}
    for distribution in _distributions():
        for file in distribution.files or ():
            path = Path(str(distribution.locate_file(file)))
            if ".." not in file.parts and path.is_file():
                found[str(file)] = path
    return {name: path for name, path in found.items() if "__pycache__" not in path.parts}


def _distributions() -> Iterator[importlib.metadata.Distribution]:
    """Yield what is installed of all that the packages require, and of what those require."""
    required = importlib.metadata.requires("tieout") or []
    wanted = [_name(each) for each in required for extra in _EXTRAS if f"extra == '{extra}'" in each]
    seen = set(_NOT_NEEDED)
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # required on another system only
        yield distribution
        more = (each for each in distribution.requires or () if "extra ==" not in each)
        wanted += [*map(_name, more), *([f"{name}-binary"] if name == "psycopg" else [])]


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def _add(archive: tarfile.TarFile, name: str, content: bytes, *, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    archive.addfile(info, io.BytesIO(content))
