"""Progress for people: on stderr, a line a step with its seconds."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(line: str) -> None:
    """Write one line of progress."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say what was done and how many seconds it took; says nothing when it fails: the error does."""
    begun = time.monotonic()
    yield
    say(f"  {name:<58} {time.monotonic() - begun:5.1f} s")
