"""The Java that runs broker and Spark: found on PATH, of a version that both support."""

import re
import shutil
import subprocess

from core.errors import TieoutError

SUPPORTED = (17, 21)
INSTALL = "sudo apt-get install -y openjdk-17-jre-headless (Debian, Ubuntu), or brew install openjdk@17 (macOS)"


def java_version() -> int | None:
    """Return the major version of the `java` on PATH, None when there is none."""
    if shutil.which("java") is None:
        return None
    done = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', done.stderr + done.stdout)
    return int(found[1]) if found else None


def require_java() -> None:
    """Make sure of Java.

    Raises:
        TieoutError: none, or one that Spark 4.2 does not support; the command that installs it is named.
    """
    found = java_version()
    if found not in SUPPORTED:
        have = "no java is on PATH" if found is None else f"java on PATH is version {found}"
        raise TieoutError(f"Java 17 is needed: {have}.", "no service was started.", INSTALL)
