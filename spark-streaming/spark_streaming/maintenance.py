"""Care of the lake: small files become large ones, and files that nobody needs any more go.

Only what the loader has passed is touched: days without a file that is newer than its watermark. Compaction changes no
row (`dataChange=false`); no row of bronze expires. Dead letters go by whole days, when somebody asks for it.
Readers keep a week for what they have open.
"""

import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import DeltaError

from contracts.entities import load_entities
from core import failpoints
from core.lake import Lake, LakeLogError, LiveFile
from core.layout import Layout
from core.locks import is_record_locked
from core.parts import Parts
from core.settings import Settings
from spark_streaming import lock, requests, tables
from spark_streaming.columns import PARTITION_COLUMNS
from spark_streaming.compaction import SMALL_BYTES, Day, day_of, merge, pack, removal
from spark_streaming.ends import commit_metadata
from spark_streaming.errors import LakeBusyError, StreamError, WarehouseAwayError
from spark_streaming.files import WrittenFile
from spark_streaming.tables import StreamTable

KEEP_HOURS = 7 * 24
FEWEST_FILES = 4

log = logging.getLogger("tieout.maintain")


def watermarks(settings: Settings) -> dict[str, int]:
    """Return, for each table of the lake, the last version that the loader has read; no row, no key.

    Raises:
        WarehouseAwayError: the warehouse does not answer.
    """
    import psycopg  # noqa: PLC0415 - the stream itself needs no database

    try:
        with psycopg.connect(settings.dsn("reader", application="tieout maintenance")) as warehouse:
            return dict(warehouse.execute("select lake_table, version from metadata.load_watermark").fetchall())
    except psycopg.Error as error:
        raise WarehouseAwayError(
            f"The loader's watermark cannot be read: SQLSTATE {error.sqlstate or 'none, no connection'} from "
            f"{settings.postgres_host}:{settings.postgres_port}.",
            "the lake is as it was.",
            "./scripts/tieout logs postgres",
        ) from error


def maintain(settings: Settings, lake: Sequence[StreamTable], expire_before: str | None = None) -> dict[str, Any]:
    """Compact and vacuum what the loader has passed; the caller holds the writer's lock.

    Args:
        settings: for the warehouse.
        lake: the tables, of one entity or more.
        expire_before: a day such as 2026-03-31: dead letters of the days before it go; None: none.

    Returns:
        for each table: entity, watermark, days compacted, files before and after; for dead letters days_expired too.

    Raises:
        TieoutError: the warehouse does not answer, another process writes the lake, or a file is damaged; where that is
            so of one entity, the others are maintained.
    """
    passed = watermarks(settings)
    before = date.fromisoformat(expire_before) if expire_before else None
    parts = Parts(dict.fromkeys(table.entity.name for table in lake))
    done: dict[str, Any] = {}
    for name in parts.well:
        with parts.part(name), _failing_with_words():
            done |= _maintain_entity([table for table in lake if table.entity.name == name], passed, before)
    parts.raise_failed(done)
    return done


@contextmanager
def _failing_with_words() -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise StreamError(
            f"Maintenance failed: {str(error).splitlines()[0]}",
            "the lake is whole; what was merged and not committed does not count.",
            "./scripts/tieout maintain, when the cause is gone",
        ) from error


def _maintain_entity(lake: Sequence[StreamTable], passed: Mapping[str, int], before: date | None) -> dict[str, Any]:
    expired = {
        table.name: {"days_expired": expire_days(table, passed.get(table.lake.name), before) if before else 0}
        for table in lake
        if table.holds_dead_letters
    }
    return {
        table.name: {
            "entity": table.entity.name,
            **maintain_table(table, passed.get(table.lake.name)),
            **expired.get(table.name, {}),
        }
        for table in lake
    }


def expire_days(table: StreamTable, watermark: int | None, before: date) -> int:
    """Take the days before one out of the table, whole files at a time; return how many days went.

    Nothing goes while the loader has not passed all of them: what it has not read is in no book yet.
    """
    if watermark is None:
        return 0
    delta = table.lake.delta()
    files = table.lake.files(delta.version())
    old = [file for file in files if day_of(file) < (before.year, before.month, before.day)]
    days = {day_of(file) for file in old}
    if not days or days & _days_added_after(table, files, watermark):
        return 0
    _replace(table, delta, old, expired_before=before.isoformat())
    return len(days)


def maintain_table(table: StreamTable, watermark: int | None) -> dict[str, Any]:
    """Compact and vacuum one table up to a version; None: the loader has read nothing, so nothing is touched."""
    if watermark is None:
        return {"watermark": None, "days_compacted": 0, "files_before": None, "files_after": None}
    files = table.lake.files()
    small = Counter(day_of(file) for file in files if file.size < SMALL_BYTES)
    newer = _days_added_after(table, files, watermark)
    days = [day for day, count in sorted(small.items()) if count >= FEWEST_FILES and day not in newer]
    compacted = [day for day in days if _compact_day(table, day)]
    _vacuum(table)
    return {
        "watermark": watermark,
        "days_compacted": len(compacted),
        "files_before": len(files),
        "files_after": len(table.lake.files()),
    }


def _days_added_after(table: StreamTable, files: Sequence[LiveFile], watermark: int) -> set[Day]:
    """Return the days of files that a version has not: what the loader has not passed yet."""
    if watermark >= (table.lake.newest_version() or 0):
        return set()
    try:
        passed = {file.path for file in table.lake.files(watermark)}
    except LakeLogError:
        log.warning("%s", f"{table.name} no longer knows its version {watermark}: no day of it counts as loaded")
        passed = set()
    return {day_of(file) for file in files if file.path not in passed}


def _compact_day(table: StreamTable, day: Day) -> bool:
    delta = table.lake.delta()
    # The table's own columns: one that this version of the code does not know must stay.
    schema = pa.schema(delta.schema())
    groups = pack(file for file in table.lake.files(delta.version()) if day_of(file) == day)
    merged = [file for group in groups for file in merge(table, group, schema)]
    failpoints.reach("maintain.before-commit")
    small = [file for group in groups for file in group]
    if small:
        _replace(table, delta, small, merged, compacted=len(small))
    return bool(small)


def _replace(
    table: StreamTable,
    delta: DeltaTable,
    old: Sequence[LiveFile],
    new: Sequence[WrittenFile] | None = None,
    **more: str | int,
) -> None:
    """Commit that files take the place of others.

    The commit follows exactly the version that was looked at. delta-rs would put it after newer ones too: the ends
    that it states would be too low then, and it does not see that another commit has replaced the same files.

    Args:
        delta: the version that was looked at.
        old: files of it.
        new: files with the same rows; None: the rows go.
        more: goes into the commit's metadata.

    Raises:
        LakeBusyError: another process has changed the same files.
    """
    gone, there = {file.path for file in old}, {file.path for file in new or ()}
    while True:
        now = int(time.time() * 1000)
        adds = [tables.add_action(file, data_change=False) for file in new or ()]
        removals = [removal(file, now, data_change=new is None) for file in old]
        properties = CommitProperties(_metadata(table, more), max_commit_retries=0)
        try:
            with table.lake.place.answering():
                delta.create_write_transaction(
                    [*adds, *removals], "append", delta.schema(), list(PARTITION_COLUMNS), commit_properties=properties
                )
        except Exception as error:
            later = table.lake.delta()
            files = {file.path for file in table.lake.files(later.version())}
            if later.version() == delta.version():
                raise
            if gone.isdisjoint(files) and there <= files:
                break  # it was committed, and the answer was lost
            if not gone <= files:
                raise LakeBusyError(
                    f"Another process has replaced files of {table.name} since version {delta.version()}.",
                    f"{table.lake} is whole; nothing of this step was committed.",
                    "./scripts/tieout status, then ./scripts/tieout maintain",
                ) from error
            delta = later
        else:
            break
    tables.sync_commit(table, delta.version() + 1)


def _metadata(table: StreamTable, more: Mapping[str, str | int]) -> dict[str, str]:
    """Return what the commit says of the table's ends, as every commit of the lake does."""
    found = tables.recorded(table)
    if found.topic_id is None:
        return {}
    begins = {"begins": True} if found.begins else {}
    topic = table.entity.topic.name
    return {"userMetadata": commit_metadata(topic, found.topic_id, found.ends, found.ends, 0, **begins, **more)}


def _vacuum(table: StreamTable) -> None:
    """Remove files that no version of the last week has.

    delta-rs only lists them here: the two commits of its own vacuum would follow newer ones with ends that are too low.
    """
    place = table.lake.place
    with place.answering():
        unneeded = table.lake.delta().vacuum(KEEP_HOURS, dry_run=True, full=True)
    for path in unneeded:
        place.delete(f"{table.lake.name}/{path}")
        failpoints.reach("maintain.in-vacuum")


def run_maintenance(
    settings: Settings, layout: Layout, *, patience: float, expire_before: str | None = None
) -> dict[str, Any]:
    """Maintain the lake: the running stream does it between batches, else this process.

    Raises:
        TieoutError: the warehouse, the stream or the lake's place failed; the lake is whole.
    """
    if is_record_locked(layout.writer_lock):
        wishes = {"expire_before": expire_before} if expire_before else {}
        return requests.ask(layout, wishes, patience=patience, still_runs=lambda: is_record_locked(layout.writer_lock))
    watermarks(settings)
    os.umask(0o077)
    lake = [each for entity in load_entities() for each in tables.stream_tables(Lake.of(settings, layout), entity)]
    with lock.take(layout.writer_lock):
        for table in lake:
            tables.create(table)
        return maintain(settings, lake, expire_before)
