"""`tieout patterns demo`: X and Y as processes of their own, with one YStartTime, and a monitor."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from core.errors import TieoutError
from core.layout import Layout, find_layout
from core.log import say
from core.settings import Settings, load_settings
from patterns.chunk_names import IST
from patterns.detection_files import in_india
from patterns.ledger import connection_of
from patterns.place import default_folder
from patterns.report import status_of

READY_SECONDS = 180.0


@dataclass
class Run:
    """What X and Y have told so far.

    Attributes:
        made: of each chunk that X has made, when the store had it, seconds since 1970.
        cut: what X says at its end.
        done: what Y says of each chunk that counts.
    """

    made: dict[int, float] = field(default_factory=dict)
    cut: dict[str, Any] = field(default_factory=dict)
    done: dict[int, dict[str, Any]] = field(default_factory=dict)
    is_ready: threading.Event = field(default_factory=threading.Event)

    def hear_x(self, line: str) -> None:
        """Take a line of X's standard output."""
        found = json.loads(line)
        if "at" in found:
            self.made[found["number"]] = found["at"]
        else:
            self.cut = found

    def hear_y(self, line: str) -> None:
        """Take a line of Y's standard output."""
        found = json.loads(line)
        if "committed_at" in found:
            self.done[found["number"]] = found

    def hear_error(self, line: str) -> None:
        """Hand on a line for people; Y says when it is ready."""
        if line.startswith("ready:"):
            self.is_ready.set()
        say(line.rstrip("\n"))

    @property
    def delays(self) -> list[float]:
        """Seconds from a chunk's arrival to the commit of its detections, ascending."""
        both = self.made.keys() & self.done.keys()
        return sorted(self.done[number]["committed_at"] - self.made[number] for number in both)

    @property
    def last_delay(self) -> float | None:
        """The same of the newest chunk that counts."""
        number = max(self.made.keys() & self.done.keys(), default=None)
        return None if number is None else self.done[number]["committed_at"] - self.made[number]


def demo(
    file: Path | None,
    weights: Path | None,
    *,
    rows: int,
    every: str,
    rules: Path | None,
    settings: Settings | None = None,
    layout: Layout | None = None,
) -> dict[str, Any]:
    """Run X and Y over a file until both have ended; return what the monitor shows at the end.

    Args:
        file: as of `tieout chunks`; None: the sample.
        weights: the importance file; None: the sample's.
        rows: of a chunk.
        every: span from chunk to chunk.
        rules: file of rules; None: ours.

    Raises:
        TieoutError: X or Y has ended with an error, which it has said.
    """
    layout = layout or find_layout()
    settings = settings or load_settings(layout)
    sample = layout.samples / "banksim"
    begun = datetime.now(UTC)
    name = f"demo-{begun.astimezone(IST):%Y%m%d-%H%M%S}"
    base = default_folder(settings, layout).rpartition("/")[0]
    chunks = f"{base}/{name}/input_chunks"
    run = Run()
    look = [
        *("patterns", "--from", chunks, "--to", f"{base}/{name}/detections", "--name", name, "--json"),
        *("--weights", str(weights or sample / "CustomerImportance.csv.gz"), "--started-at", begun.isoformat()),
        *(("--rules", str(rules)) if rules else ()),
    ]
    cut = [
        *("chunks", str(file or sample / "transactions.csv.gz"), "--rows", str(rows), "--every", every),
        *("--to", chunks, "--json"),
    ]
    say(f"YStartTime {in_india(begun)}; watch {name}")
    children = [_Child(look, run.hear_y, run.hear_error)]
    try:
        _wait_until_ready(children[0], run)
        children.append(_Child(cut, run.hear_x, run.hear_error))
        with connection_of(settings) as connection:
            found = _monitor(children, lambda: _figures(run, status_of(connection, name) or {}, begun))
    finally:
        for child in children:
            child.end()
    y, x = (child.code() for child in children)
    if x or y:
        raise TieoutError(
            f"{'X' if x else 'Y'} has ended with exit code {x or y}; see above.",
            f"watch {name} and its chunks stay.",
            f"./scripts/tieout {' '.join(cut if x else look)}",
        )
    return found


class _Child:
    """X or Y as a process, and what hears its lines."""

    def __init__(self, words: Sequence[str], hear: Callable[[str], None], hear_error: Callable[[str], None]) -> None:
        command = [str(Path(sys.executable).with_name("tieout")), *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        heard = ((self.process.stdout, hear), (self.process.stderr, hear_error))
        self._ears = [threading.Thread(target=_listen, args=each, daemon=True) for each in heard]
        for each in self._ears:
            each.start()

    def code(self) -> int | None:
        """Return the exit code once it has ended and its last line is heard; None before."""
        code = self.process.poll()
        if code is not None:
            for each in self._ears:
                each.join()
        return code

    def end(self) -> None:
        """Ask it to end, and wait."""
        self.process.terminate()
        self.process.wait()


def _listen(stream: IO[str], take: Callable[[str], None]) -> None:
    for line in stream:
        take(line)


def _wait_until_ready(y: _Child, run: Run) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not run.is_ready.wait(0.1):
        if y.code() is not None or time.monotonic() > deadline:
            raise TieoutError(
                "Y did not begin; it says why above.", "no chunk was made.", "./scripts/tieout doctor, then again"
            )


def _monitor(children: Sequence[_Child], figures: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Say each second how it stands, until Y and X have ended or one has failed."""
    while True:
        # Asked first: what they have done by then is in the figures.
        codes = [child.code() for child in children]
        found = figures() | {"y_runs": codes[0] is None, "x_runs": codes[1] is None}
        say(_line(found))
        if any(codes) or None not in codes:
            return found
        time.sleep(1.0)


def _figures(run: Run, status: dict[str, Any], begun: datetime) -> dict[str, Any]:
    delays = run.delays
    return {
        "run_time": round((datetime.now(UTC) - begun).total_seconds(), 1),
        "chunks_made": len(run.made),
        "chunks_processed": status.get("chunks", 0),
        "rows": status.get("rows", 0),
        "refused_rows": status.get("refused_rows", 0),
        "detections": status.get("detections", {}),
        "no_longer_true": status.get("no_longer_true", 0),
        "files": status.get("files", 0),
        "findings": status.get("findings", []),
        "drift_max": run.cut.get("drift_max"),
        "late": run.cut.get("late"),
        "delay_last": _rounded(run.last_delay),
        "delay_p50": _rounded(_percentile(delays, 0.5)),
        "delay_p99": _rounded(_percentile(delays, 0.99)),
        "delay_max": _rounded(delays[-1] if delays else None),
    }


def _percentile(values: Sequence[float], part: float) -> float | None:
    """Return the smallest value that is not exceeded by that part of them."""
    return values[min(int(part * len(values)), len(values) - 1)] if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _line(found: dict[str, Any]) -> str:
    counts = " ".join(f"{name} {count}" for name, count in sorted(found["detections"].items())) or "none"
    running = " ".join(f"{name.upper()} {'runs' if found[f'{name}_runs'] else 'has ended'}" for name in "xy")
    delay = "" if found["delay_last"] is None else f", delay {found['delay_last']:.2f} s"
    return (
        f"{found['run_time']:6.1f} s  {found['chunks_made']} chunks made, {found['chunks_processed']} processed, "
        f"{found['rows']} rows, detections: {counts}, {running}{delay}"
    )


def as_text(found: dict[str, Any]) -> str:
    """Return the end of a run for people."""
    lines = [_line(found)]
    if found["delay_p50"] is not None:
        lines.append(
            f"from a chunk's arrival to its detections in PostgreSQL: p50 {found['delay_p50']:.2f} s, "
            f"p99 {found['delay_p99']:.2f} s, most {found['delay_max']:.2f} s"
        )
    if found["drift_max"] is not None:
        lines.append(f"chunks begun after their second: most {found['drift_max']:.3f} s, {found['late']} late ones")
    lines.append(f"{found['files']} files of detections; {found['no_longer_true']} detections are true no longer")
    return "\n".join(lines + found["findings"])
