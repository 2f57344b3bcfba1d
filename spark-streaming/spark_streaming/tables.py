"""An entity's two tables of the lake: how they are made, what they record, and how their one writer commits to them.

The writer is fenced in Delta's log. Who takes over a table commits an empty transaction to it before reading its ends,
and each commit is made on the version of the writer's own last one. delta-rs sets a commit behind those of others that
came meanwhile, such as compaction, but refuses it where one of them carries the same application's transaction: a
writer that slept while another took over cannot commit any more, whatever a lock says.
"""

import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction

from contracts.model import Entity
from core.files import sync_folder
from core.lake import Lake, LakeTable
from spark_streaming import names
from spark_streaming.columns import PARTITION_COLUMNS, bronze_schema, dead_letter_schema
from spark_streaming.ends import Ends, Recorded, commit_metadata, further, read_metadata
from spark_streaming.errors import LakeStateError, LakeTakenError
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
MOST_ATTEMPTS = 5

_CONFLICT = re.compile("oncurrent|[Mm]etadata|[Pp]rotocol")


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
        yield _metadata(table, version)


def _metadata(table: StreamTable, version: int) -> str | None:
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


@dataclass
class OwnedTable:
    """A table in the hands of its one writer.

    Attributes:
        table: the table.
        topic: the name of the topic that it is filled from.
        found: what it recorded when it was taken over.
        topic_id: Kafka's id of that topic; None until it has one.
        ends: for each partition the first offset that it does not have yet; moves only when a commit is made.
        delta: the table as it was behind the writer's own last commit.
    """

    table: StreamTable
    topic: str
    found: Recorded
    delta: DeltaTable
    topic_id: str | None = field(init=False)
    ends: Ends = field(init=False)

    def __post_init__(self) -> None:
        self.topic_id, self.ends = self.found.topic_id, self.found.ends

    @classmethod
    def take_over(cls, table: StreamTable, topic: str) -> "OwnedTable":
        """Make the table where it is missing, shut out whoever wrote it before, and read its ends.

        Raises:
            LakeTakenError: others take it over at the same time, again and again.
        """
        create(table)
        add_missing_columns(table)
        for _ in range(MOST_ATTEMPTS):
            delta = table.lake.delta()
            # What is read now is still so when the commit succeeds: it is made on the version loaded before.
            owned = cls(table, topic, recorded(table), delta)
            begins = {"begins": True} if owned.found.begins else {}
            try:
                owned._commit([], owned.ends, owned.ends, 0, fence=True, **begins)
            except LakeTakenError:
                continue
            return owned
        raise _taken(table)

    def begin(self, topic_id: str, first: Ends, *, write: bool, **more: Any) -> None:
        """Go on with another topic.

        Args:
            topic_id: Kafka's id of the topic.
            first: where it begins, by partition.
            write: say so in a commit; what a table lacks before `first` is then no loss.
            more: what the commit says beside.
        """
        self.topic_id, self.ends = topic_id, {}
        if write:
            self._commit([], first, first, 0, begins=True, **more)

    def commit(self, files: Sequence[WrittenFile], start: Ends, end: Ends, **more: Any) -> int:
        """Commit files, or none, once; the table's ends move on to `end`. Return how many rows they have.

        Args:
            files: what was written for the table; files on a disk of this machine are synced already.
            start: for each partition the first offset that they account for.
            end: for each partition the offset behind the last one.
            more: what the commit says beside.

        Raises:
            LakeTakenError: another writer has taken the table over.
            LakeStateError: the table does not end where its writer thinks.
        """
        rows = sum(file.rows for file in files)
        self._commit(files, {**dict.fromkeys(end, 0), **start}, end, rows, **more)
        return rows

    def _commit(self, files: Sequence[WrittenFile], start: Ends, end: Ends, rows: int, **more: Any) -> None:
        end = further(self.ends, end)
        transactions = [Transaction(f"tieout-writer-{self.table.name}", self.delta.version() + 1)]
        token = secrets.token_hex(8)
        if self.topic_id is None:
            metadata = json.dumps({"tieout": 0, "token": token, **more})
        else:
            app = f"tieout-{self.table.name}-{self.topic_id}"
            if not more.get("fence"):
                self._refuse_other_ends(app)
            transactions.append(Transaction(app, sum(end.values())))
            metadata = commit_metadata(self.topic, self.topic_id, start, end, rows, token=token, **more)
        try:
            with self.table.lake.place.answering():
                self.delta.create_write_transaction(
                    [add_action(file, data_change=True) for file in files],
                    "append",
                    self.delta.schema(),
                    list(PARTITION_COLUMNS),
                    commit_properties=CommitProperties({"userMetadata": metadata}, app_transactions=transactions),
                )
        except Exception as error:
            # The answer may be lost and the commit there, against which delta-rs' own second try then runs.
            version = self._own_commit(token)
            if version is None and isinstance(error, CommitFailedError) and _CONFLICT.search(str(error)):
                raise _taken(self.table) from error
            if version is None:
                raise
        else:
            version = self._own_commit(token)
        if version is None:
            raise _taken(self.table)
        sync_commit(self.table, version)
        self.delta = self.table.lake.delta(version)
        self.ends = end

    def _refuse_other_ends(self, app: str) -> None:
        """Refuse a commit when the table's last one does not end where this writer's did."""
        with self.table.lake.place.answering():  # it reads the log's files
            last, ours = self.delta.transaction_version(app), sum(self.ends.values())
        if (last or 0) != ours:
            raise LakeStateError(
                f"{self.table.name} has got to {last} offsets by its log, and its writer only knows of {ours}.",
                f"{self.table.lake} holds what it held before; nothing was skipped in Kafka.",
                f"look at the newest commits in {self.table.lake}/_delta_log, then ./scripts/tieout stream",
            )

    def _own_commit(self, token: str) -> int | None:
        """Return the version that the commit with this token became: the newest one may be a rival's."""
        for version in reversed(self.table.lake.versions(self.delta.version())):
            if token in (_metadata(self.table, version) or ""):
                return version
        return None


def add_action(file: WrittenFile, *, data_change: bool) -> AddAction:
    """Return the action that adds a file; no data changes where its rows are in the table already."""
    return AddAction(file.path, file.size, file.partition, file.modified, data_change, file.statistics)


def _taken(table: StreamTable) -> LakeTakenError:
    return LakeTakenError(
        f"Another process has taken {table.name} over while this one was writing.",
        f"{table.lake} holds each event once; this process wrote nothing more to it.",
        "./scripts/status.sh, and let one of the two end; ./scripts/tieout stream goes on where the lake ends",
    )


def sync_commit(table: StreamTable, version: int) -> None:
    """Bring a commit to the disk, and the checkpoint that may have followed it: delta-rs syncs neither."""
    if table.lake.folder is None:
        return
    log = table.lake.folder / "_delta_log"
    for name in (f"{version:020}.json", f"{version:020}.checkpoint.parquet", "_last_checkpoint"):
        with suppress(FileNotFoundError), (log / name).open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(log)
