"""`tieout chunks` as a process: its file, its folder, its signals, what it prints."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from core.errors import OptionError, TieoutError
from core.layout import Layout, find_layout
from core.log import say
from core.settings import Settings, load_settings
from core.spans import parse_span
from core.text import shown
from patterns.chunker import Chunker, Clock, Made, Summary
from patterns.input_file import InputFile
from patterns.place import default_folder, open_folder
from patterns.stopping import Stop

PROGRESS_SECONDS = 10.0


def cut(
    file: Path,
    *,
    rows: int,
    every: str,
    to: str | None,
    told: Callable[[Made], None] = lambda _: None,
    settings: Settings | None = None,
    layout: Layout | None = None,
) -> Summary:
    """Cut a file into chunks until it ends, or until SIGTERM or SIGINT.

    Args:
        file: CSV with a header, plain or gzip.
        rows: of a chunk.
        every: a span such as 1s; 0s: as fast as it goes.
        to: the folder's address; None: the default one.
        told: takes each chunk once it is there.
        settings: the platform's, if none are given.
        layout: the platform's, if none is given.

    Raises:
        TieoutError: the file cannot be cut, or the folder is another file's.
        OutageError: the store is away, and a signal came.
    """
    layout = layout or find_layout()
    settings = settings or load_settings(layout)
    folder = open_folder(to or default_folder(settings, layout), settings, layout)
    stop, progress = Stop(), _Progress(told)
    try:
        source = InputFile(file)
    except OSError as error:
        raise TieoutError(
            f"{shown(file)}: {error.strerror}.", "nothing was written.", "the same command with a file that can be read"
        ) from None
    say(f"{shown(file)} to {shown(folder.address)}, {rows} rows a chunk")
    clock = Clock(time.time, stop.pause)
    return Chunker(
        source, folder.place, folder.name, rows=rows, every=_seconds(every), clock=clock, say=say, told=progress.take
    ).run()


def as_text(found: Summary) -> str:
    """Return a summary for people."""
    lines = [
        f"{found.made} chunks made, {found.found} were there; {found.rows} rows, {found.last_rows} in the last one"
    ]
    counted = found.as_json()
    if found.drifts:
        lines.append(
            f"begun after their second: p50 {counted['drift_p50']:.3f} s, most {counted['drift_max']:.3f} s; "
            f"{found.late} late ones were caught up"
        )
    if found.contents.blank_lines:
        lines.append(f"{found.contents.blank_lines} blank lines are in no chunk")
    if not found.is_whole:
        lines.append("stopped before the end; the same command goes on")
    return "\n".join(lines)


class _Progress:
    """Says every ten seconds how far it is."""

    def __init__(self, told: Callable[[Made], None]) -> None:
        self._told, self._next = told, time.monotonic() + PROGRESS_SECONDS

    def take(self, made: Made) -> None:
        self._told(made)
        if time.monotonic() >= self._next:
            say(f"chunk {made.number}: rows up to {made.first_row + made.rows}, {made.drift:.3f} s after its second")
            self._next = time.monotonic() + PROGRESS_SECONDS


def _seconds(span: str) -> float:
    if span in ("0", "0s"):
        return 0.0
    try:
        return float(parse_span(span).total_seconds())
    except ValueError:
        raise OptionError(
            f"--every {shown(span)} is no span.",
            "nothing was written.",
            "write it as 1s, 5s or 2m; 0s is without pause",
        ) from None


def tell(made: Made) -> None:
    """Write a chunk as a line of JSON; drift in seconds, at in seconds since 1970."""
    sys.stdout.write(json.dumps({**vars(made), "drift": round(made.drift, 4)}) + "\n")
    sys.stdout.flush()
