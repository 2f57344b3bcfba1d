"""`tieout patterns` as a process: its terms, Spark, its signals, what it prints."""

import csv
import gzip
import hashlib
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import psycopg

from core.database_errors import DatabaseAwayError
from core.errors import OptionError, TieoutError
from core.layout import Layout, find_layout
from core.log import say
from core.settings import Settings, load_settings
from core.spans import parse_span
from core.text import shown
from patterns.chunker import Clock
from patterns.ledger import LEFT, Watch, begin_watch, ledger_of, same_watch
from patterns.place import Folder, default_folder, open_folder
from patterns.rules import OWN, load_rules
from patterns.spark import CHUNK_COLUMNS, WEIGHT_COLUMNS, Spark
from patterns.stopping import Stop
from patterns.watcher import Done, Patience, Watcher
from patterns.weights import Weights, WeightSum, make_weights

DEFAULT = "default"


@dataclass(frozen=True)
class Terms:
    """What a person asks for.

    Attributes:
        name: of the watch.
        source: address of the chunks; None: the default one.
        detections: address of the files of detections; None: beside the chunks.
        weights: the importance file; None: what the watch was begun with.
        rules: file of rules.
        gap: span until a missing chunk is named.
        idle: span without a chunk until a shorter file is written.
        is_once: end when everything that is there is read.
        started_at: YStartTime of a new watch; None: now.
    """

    name: str = DEFAULT
    source: str | None = None
    detections: str | None = None
    weights: Path | None = None
    rules: Path = OWN
    gap: str = "30s"
    idle: str = "60s"
    is_once: bool = False
    started_at: datetime | None = None


def watch(terms: Terms, *, as_json: bool, settings: Settings | None = None, layout: Layout | None = None) -> bool:
    """Look for patterns until the input ends, or until SIGTERM or SIGINT; return whether it has ended.

    Raises:
        OutageError: Spark, the database or the store is away; the same command goes on.
        TieoutError: the watch was begun with other terms, or a file cannot be read.
    """
    layout = layout or find_layout()
    settings = settings or load_settings(layout)
    patience = Patience(_span("--gap", terms.gap), _span("--idle", terms.idle), terms.is_once)
    source = open_folder(terms.source or default_folder(settings, layout), settings, layout)
    if not re.fullmatch("[a-z0-9-]{1,40}", terms.name):
        raise OptionError(
            f"--name {shown(terms.name)} is no name.", "nothing was read or written.", "use small letters, digits and -"
        )
    own = "detections" if terms.name == DEFAULT else f"detections_{terms.name}"
    target = open_folder(terms.detections, settings, layout) if terms.detections else Folder(source.place, own)
    wanted = Watch(
        watch_id=0,
        name=terms.name,
        source=source.address,
        detections=target.address,
        rules=load_rules(terms.rules),
        weights_sha256=_sha256(terms.weights) if terms.weights else "",
        started_at=terms.started_at or datetime.now(UTC),
    )
    stop = Stop()
    try:
        with ledger_of(settings) as connection:
            found = same_watch(connection, wanted)  # refused before Java starts
            with closing(Spark(settings, layout)) as spark:
                if found is None:
                    found = begin_watch(connection, wanted, *_weigh(spark, terms.weights, wanted))
                spark.warm_up(CHUNK_COLUMNS)
                say(f"ready: looking for patterns in {shown(source.address)}, watch {shown(found.name)}")
                return Watcher(
                    connection,
                    found,
                    spark,
                    source=source,
                    target=target,
                    patience=patience,
                    clock=Clock(time.time, stop.pause),
                    say=say,
                    told=_tell if as_json else _say_done,
                ).run()
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, LEFT, "the same command, which goes on") from None


def _weigh(spark: Spark, path: Path | None, wanted: Watch) -> tuple[Weights, dict[str, int]]:
    """Return the weights of a file, and how many of its rows cannot be read, by reason."""
    assert path is not None  # noqa: S101  (a watch begins with weights only)
    copy = spark.scratch / ("weights.csv.gz" if _is_gzip(path) else "weights.csv")
    copy.write_bytes(path.read_bytes())
    try:
        with _opened(copy) as file:
            header = next(csv.reader([file.readline(1 << 20).decode("utf-8-sig", "replace")]), [])
    except (EOFError, gzip.BadGzipFile) as error:
        raise _refused(path, f"its compression is damaged or cut off: {error}") from None
    names = tuple(name.strip().strip("'") for name in header)
    missing = [name for name in WEIGHT_COLUMNS if name not in names]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if missing or doubled:
        what = f"it has no column {', '.join(missing)}" if missing else f"it has two columns {shown(doubled[0])}"
        raise _refused(path, what)
    rows = spark.sum_weights(copy, names).to_pylist()
    refused = {row["reasons"]: row["count"] for row in rows if row["reasons"]}
    sums = (
        WeightSum(row["Source"], row["Target"], row["typeTrans"], row["total"], row["count"])
        for row in rows
        if not row["reasons"]
    )
    for reason, count in refused.items():
        say(f"weights: {count} rows cannot be read ({reason})")
    return make_weights(sums, wanted.rules.weight), refused


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        yield gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file  # type: ignore[misc]


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _refused(path, error.strerror or "it cannot be read") from None


def _refused(path: Path, why: str) -> TieoutError:
    return TieoutError(
        f"the weights in {shown(path)} cannot be used: {why}.",
        "nothing was written.",
        "the same command with another file",
    )


def _span(option: str, text: str) -> timedelta:
    try:
        return parse_span(text)
    except ValueError as error:
        raise OptionError(f"{option}: {error}.", "nothing was read or written.", "write it as 30s or 5m") from None


def _tell(done: Done) -> None:
    sys.stdout.write(json.dumps(vars(done)) + "\n")
    sys.stdout.flush()


def _say_done(done: Done) -> None:
    say(
        f"chunk {done.number}: {done.rows} rows, {done.detections} detections, "
        f"{done.committed_at - done.seen_at:.2f} s after it was seen"
    )
