"""An entity's two tables of the lake: how they are made, and what they record. Their one writer is in `owned_table`."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction

from contracts.model import Entity
from core.files import sync_folder
from core.lake import Lake, LakeTable
from spark_streaming import names
from spark_streaming.columns import PARTITION_COLUMNS, bronze_schema, dead_letter_schema
from spark_streaming.ends import Ends, Recorded, read_metadata
from spark_streaming.files import WrittenFile

# Without deletion vectors and column mapping any Delta or Parquet reader can read the tables. Statistics are kept
# for the columns that readers prune by.
PROPERTIES = {
    "delta.enableDeletionVectors": "false",
    "delta.columnMapping.mode": "none",
    "delta.checkpointInterval": "50",
    "delta.logRetentionDuration": "interval 90 days",
    "delta.deletedFileRetentionDuration": "interval 7 days",
}
# So many commits of others, such as compaction, may stand before the newest of ours.
MOST_COMMITS = 1000


@dataclass(frozen=True)
class StreamTable:
    """A table that the stream writes.

    Attributes:
        name: what logs and errors call it.
        lake: the table in its place.
        schema: its columns, in order.
        statistics: columns with minimum and maximum a file.
        entity: whose events it holds.
    """

    name: str
    lake: LakeTable
    schema: pa.Schema
    statistics: tuple[str, ...]
    entity: Entity

    @property
    def holds_dead_letters(self) -> bool:
        """It holds malformed events."""
        return self.lake.name == self.entity.dead_letters


def stream_tables(lake: Lake, entity: Entity) -> tuple[StreamTable, StreamTable]:
    """Return the table of the well-formed events, and the one of the malformed."""
    delivery = ("arrived_at", "partition", "offset")
    bronze, dead_letters = lake.table(entity.bronze), lake.table(entity.dead_letters)
    occurred_at, name = entity.stored(entity.event_time), names.table_name
    return (
        StreamTable(name("bronze", entity), bronze, bronze_schema(entity), (occurred_at, *delivery), entity),
        StreamTable(name("dead_letters", entity), dead_letters, dead_letter_schema(), delivery, entity),
    )


def create(table: StreamTable) -> None:
    """Make the table where it is missing. Safe to repeat."""
    if table.lake.exists():
        return
    if table.lake.folder is not None:
        table.lake.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    statistics = {"delta.dataSkippingStatsColumns": ",".join(table.statistics)}
    with table.lake.place.answering():
        DeltaTable.create(
            table.lake.uri,
            schema=table.schema,
            mode="ignore",
            partition_by=list(PARTITION_COLUMNS),
            configuration={**PROPERTIES, **statistics},
            storage_options=table.lake.storage_options or None,
        )


def add_missing_columns(table: StreamTable) -> list[str]:
    """Give a table that is there the columns that its contract has gained; return their names. Safe to repeat.

    The commit changes the table's metadata: a stream that writes it meanwhile ends, and begins again with the columns.
    """
    if not table.lake.exists():
        return []
    delta = table.lake.delta()
    with table.lake.place.answering():
        there = {field.name for field in delta.schema().fields}
        missing = pa.schema([column for column in table.schema if column.name not in there])
        if len(missing):
            delta.alter.add_columns(list(Schema.from_arrow(missing).fields))
    return list(missing.names)


def recorded(table: StreamTable) -> Recorded:
    """Return how far the table has got: by its newest commit of ours, else by the offsets that are in it."""
    for metadata in islice(_commits(table), MOST_COMMITS):
        found = read_metadata(metadata)
        if found:
            return found
    return Recorded() if _is_new(table) else _highest_offsets(table)


def offsets_in(table: StreamTable, topic_id: str, start: Ends, end: Ends) -> dict[int, list[int]]:
    """Return the offsets of a topic that the table holds between two ends, by partition."""
    found: dict[int, list[int]] = {}
    delta = table.lake.delta()
    for partition in sorted(end):
        first, behind = start.get(partition, 0), end[partition]
        if first < behind:
            span = [("partition", "=", partition), ("offset", ">=", first), ("offset", "<", behind)]
            with table.lake.place.answering():
                rows = delta.to_pyarrow_table(columns=["topic_id", "offset"], filters=span)
            found[partition] = rows.filter(pc.equal(rows["topic_id"], topic_id))["offset"].to_pylist()
    return found


def _commits(table: StreamTable) -> Iterator[str | None]:
    """Yield the metadata of each commit, newest first, as far back as the log goes."""
    for version in table.lake.versions_backwards():
        yield metadata_of(table, version)


def metadata_of(table: StreamTable, version: int) -> str | None:
    """Return what a commit says in its userMetadata."""
    actions = table.lake.actions(version)
    return next((a["commitInfo"].get("userMetadata") for a in actions if "commitInfo" in a), None)


def _is_new(table: StreamTable) -> bool:
    """Say whether nothing has happened to the table but that it was made, empty."""
    return table.lake.newest_version() == 0 and not any("add" in action for action in table.lake.actions(0))


def _highest_offsets(table: StreamTable) -> Recorded:
    """Return the ends that the rows themselves show: the last fallback, when no commit's metadata is left."""
    with table.lake.place.answering():
        rows = table.lake.delta().to_pyarrow_table(columns=["topic_id", "partition", "offset", "arrived_at"])
    if not rows.num_rows:
        return Recorded()
    ends = rows.group_by(["topic_id", "partition"]).aggregate([("offset", "max"), ("arrived_at", "max")]).to_pylist()
    topic_id = max(ends, key=lambda row: row["arrived_at_max"])["topic_id"]
    return Recorded(topic_id, {row["partition"]: row["offset_max"] + 1 for row in ends if row["topic_id"] == topic_id})


def add_action(file: WrittenFile, *, data_change: bool) -> AddAction:
    """Return the action that adds a file; no data changes where its rows are in the table already."""
    return AddAction(file.path, file.size, file.partition, file.modified, data_change, file.statistics)


def sync_commit(table: StreamTable, version: int) -> None:
    """Bring a commit to the disk, and the checkpoint that may have followed it: delta-rs syncs neither."""
    if table.lake.folder is None:
        return
    log = table.lake.folder / "_delta_log"
    for name in (f"{version:020}.json", f"{version:020}.checkpoint.parquet", "_last_checkpoint"):
        with suppress(FileNotFoundError), (log / name).open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(log)
