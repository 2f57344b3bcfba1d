"""Files that people ask for: whole or not at all, and readable by their owner only."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def write_privately(path: Path) -> Iterator[Path]:
    """Yield a path beside the file, mode 600, that takes its place when the block ends well.

    Raises:
        OSError: it cannot be written; what was there before is unchanged.
    """
    if not path.name or (path.exists() and not path.is_file()):  # a folder, or a device that would be lost
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
