"""Progress for people: on stderr, a line a step with its seconds."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from core.log import say
from core.text import shown

__all__ = ["columns", "say", "step"]


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say what was done and how many seconds it took; says nothing when it fails: the error does."""
    begun = time.monotonic()
    yield
    say(f"  {name:<58} {time.monotonic() - begun:5.1f} s")


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines with aligned columns, never cut or wrapped: people copy addresses out of them."""
    rows = [[shown(text) for text in row] for row in rows]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
