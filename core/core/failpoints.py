"""Failpoints: named moments in the way of the data at which a drill may strike. Without the variable they do nothing.

TIEOUT_FAILPOINT holds an order, or `@FILE`, and then FILE holds it for as long as it exists; an order is

    NAME[:NTH]             kill this process at the NTH time (the first by default) that it comes by NAME
    NAME[:NTH] FILE        make FILE there, and go on once somebody has removed it

A process that leads its process group takes the group along, as `kill -9 -PGID` does: a stream dies with its JVM.
"""

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "TIEOUT_FAILPOINT"
LONGEST_WAIT_SECONDS = 300.0

# Each is one call of `reach` in the code; a test holds this list against the calls.
NAMES: Mapping[str, str] = {
    "producer.before-flush": "the producer has handed over its last event and has not waited for all acknowledgements",
    "ingest.while-sending": "rows of a file are handed to the broker, a thousand more than the last time",
    "ingest.before-closing": "the broker has every row of a file, and neither closing total nor registry say so",
    "stream.in-task": "a worker has judged a task's messages, and its files are not closed",
    "stream.before-commit": "the workers have written a batch's files, and no commit names them yet",
    "stream.after-dead-letters": "a batch is in the dead letters and not yet in bronze",
    "stream.before-checkpoint": "a batch is in both tables and not yet in the checkpoint",
    "maintain.before-commit": "a day's small files are merged, and no commit names the new one yet",
    "maintain.in-vacuum": "one of the files that nobody needs any more is removed, and others are not",
    "load.in-copy": "a COPY into the warehouse has had its first rows and not its end",
    "load.before-commit": "rows, books and watermark of a load are written and not committed",
    "load.after-commit": "a load is committed and nobody has been told",
    "build.between-models": "dbt has ended one of its nodes and is about to begin, or in, the next",
    "redrive.after-intent": "letters to be put back are written down, and none of them is sent",
    "redrive.while-producing": "a redrive has handed over a letter, and others of the same page not yet",
    "lake-move.before-log": "a lake is being copied: data files are there, and a file of the log is about to come",
    "lake-move.before-proof": "a lake is copied and not proven",
    "backup.after-dump": "the warehouse is dumped, and nothing of the lake copied",
    "backup.before-lake": "a table of the lake is about to be copied",
    "backup.before-file": "a file of the lake is about to be copied",
    "backup.before-manifest": "a backup has everything but its manifest",
    "restore.after-warehouse": "the warehouse is restored, and nothing of the lake",
    "restore.before-log": "a table of the lake is being restored, and a file of its log is about to come",
    "restore.before-proof": "a backup is restored and its topic accepted, and nothing is proven",
    "evolve.after-silver": "silver has the columns of the next contract, and bronze not yet",
    "evolve.after-bronze": "bronze has the columns of the next contract, and the one of before is in force",
    "evolve.after-contract": "another contract is in force, and stream and live view judge by the one of before",
    "rebuild.before-commit": "silver is made again from the lake, equal to the books, and not committed",
    "live.before-commit": "a batch of the live view is written and not committed",
    "live.after-commit": "a batch of the live view is committed, and the process does not know it yet",
    "chunks.after-claim": "a chunk's name is claimed, and the chunk is not there",
    "chunks.after-put": "a chunk is there, and the next one not claimed",
    "patterns.before-commit": "a chunk's payments and detections are written, and not committed",
    "patterns.after-commit": "a chunk is committed, and the file of detections that it filled not written",
    "patterns.after-put": "a file of detections is there, and nobody has written that down",
    "redrive.before-confirm": "the broker has the letters of a page, and nobody has written that down",
}

_ORDER = re.compile(r"(?P<name>[a-z.-]+)(?::(?P<nth>[1-9][0-9]*))?(?: (?P<file>/.*))?")
_passed: Counter[str] = Counter()


def reach(name: str) -> None:
    """Say that this process is at a failpoint; what happens there is up to the drill, nothing where there is none."""
    order = os.environ.get(VARIABLE)
    if order:
        _obey(order, name)


def _obey(order: str, name: str) -> None:
    if order.startswith("@"):
        try:
            order = Path(order[1:]).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return
    match = _ORDER.fullmatch(order)
    if match is None or match["name"] not in NAMES:
        raise ValueError(f"{VARIABLE}: {order!r} is no order; the failpoints are {', '.join(NAMES)}")
    if match["name"] != name:
        return
    _passed[name] += 1
    if _passed[name] != int(match["nth"] or 1):
        return
    if match["file"]:
        _wait(Path(match["file"]))
    else:
        _die()


def _wait(file: Path) -> None:
    file.write_text(str(os.getpid()), encoding="utf-8")
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while file.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def _die() -> None:
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
