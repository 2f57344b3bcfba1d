"""What a person at a terminal sees of a run; nothing when nobody looks."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_SECONDS = 10.0

# NewTotals of payments begun, events built and events that wait for the broker.
Show = Callable[[int, int, int], None]


def say(text: str) -> None:
    """Write a line for people to stderr; that nobody reads it any more ends nothing."""
    with suppress(OSError, ValueError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _silent(_payments: int, _events: int, _waiting: int) -> None:
    pass


def _lines() -> Show:
    shown = time.monotonic()
    before = 0

    def show(payments: int, events: int, waiting: int) -> None:
        nonlocal shown, before
        now = time.monotonic()
        if now - shown >= LINE_EVERY_SECONDS:
            rate = (events - before) / (now - shown)
            say(f"{payments} payments, {events} events, {rate:.1f} a second, {waiting} not acknowledged yet")
            shown, before = now, events

    return show


@contextmanager
def showing(total: int | None) -> Iterator[Show]:
    """Yield what to tell of the run: a bar for bounded work, a line every ten seconds for endless work."""
    if not sys.stderr.isatty():
        yield _silent
    elif total is None:
        yield _lines()
    else:
        columns = (TextColumn("payments"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("payments", total=total)
            yield lambda payments, _events, _waiting: bar.update(task, completed=payments)
