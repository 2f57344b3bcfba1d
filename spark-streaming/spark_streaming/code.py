"""Which code a process runs: executors elsewhere have to run the driver's."""

import hashlib
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import deltalake
import pyarrow as pa

PACKAGES = ("core", "contracts", "spark_streaming")
_KINDS = {".py", ".yaml", ".csv", ".json"}


@cache
def fingerprint() -> str:
    """Return a hash of Python's version, of the packages that tasks run, and of the libraries that write the files."""
    found = hashlib.sha256(f"{sys.version_info[:2]} {pa.__version__} {deltalake.__version__}".encode())
    for package in PACKAGES:
        folder = folder_of(package)
        for file in sorted(path for path in folder.rglob("*") if path.suffix in _KINDS):
            found.update(f"\0{package}/{file.relative_to(folder)}\0".encode() + file.read_bytes())
    return found.hexdigest()[:16]


def folder_of(package: str) -> Path:
    """Return where a package of ours is."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named '{package}'", name=package)
    return Path(spec.origin).parent
