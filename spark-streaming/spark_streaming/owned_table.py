"""A table of the lake in the hands of its one writer, who is fenced in Delta's log.

Who takes over a table commits an empty transaction to it before reading its ends, and each commit is made on the
version of the writer's own last one. delta-rs sets a commit behind those of others that came meanwhile, such as
compaction, but refuses it where one of them carries the same application's transaction: a writer that slept while
another took over cannot commit any more, whatever a lock says.
"""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError

from spark_streaming.columns import PARTITION_COLUMNS
from spark_streaming.ends import Ends, Recorded, commit_metadata, further
from spark_streaming.errors import LakeStateError, LakeTakenError
from spark_streaming.files import WrittenFile
from spark_streaming.tables import (
    StreamTable,
    add_action,
    add_missing_columns,
    create,
    metadata_of,
    recorded,
    sync_commit,
)

MOST_ATTEMPTS = 5

_CONFLICT = re.compile("oncurrent|[Mm]etadata|[Pp]rotocol")


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
            if token in (metadata_of(self.table, version) or ""):
                return version
        return None


def _taken(table: StreamTable) -> LakeTakenError:
    return LakeTakenError(
        f"Another process has taken {table.name} over while this one was writing.",
        f"{table.lake} holds each event once; this process wrote nothing more to it.",
        "./scripts/status.sh, and let one of the two end; ./scripts/tieout stream goes on where the lake ends",
    )
