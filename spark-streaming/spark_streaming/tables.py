"""The lake's two tables: how they are made, what they record, and how a commit is written."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from contracts.model import Contract
from spark_streaming.columns import PARTITION_COLUMNS, bronze_columns, dead_letter_columns
from spark_streaming.ends import Recorded, read_metadata
from spark_streaming.errors import LakeStateError

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
class LakeTable:
    """A Delta table of the lake.

    Attributes:
        name: what logs and errors call it.
        uri: where it is.
        columns: name and type of each column, in order.
        statistics: columns with minimum and maximum a file.
    """

    name: str
    uri: str
    columns: Mapping[str, str]
    statistics: tuple[str, ...]

    @property
    def sql_name(self) -> str:
        """The table in SQL."""
        escaped = self.uri.replace("`", "``")
        return f"delta.`{escaped}`"


def bronze_table(uri: str, contract: Contract) -> LakeTable:
    """Return the table of the well-formed events."""
    return LakeTable("bronze", uri, bronze_columns(contract), ("occurred_at", "arrived_at", "partition", "offset"))


def dead_letter_table(uri: str) -> LakeTable:
    """Return the table of the malformed events."""
    return LakeTable("dead_letters", uri, dead_letter_columns(), ("arrived_at", "partition", "offset"))


def app_id(table: LakeTable, topic_id: str) -> str:
    """Return the name under which Delta remembers the last commit of a topic's events to a table."""
    return f"tieout-{table.name}-{topic_id}"


def create(spark: SparkSession, table: LakeTable) -> None:
    """Make the table where it is missing. Safe to repeat."""
    if _newest(_log(table)) >= 0:  # Spark would say so too, by reading the whole table's state
        return
    columns = ", ".join(f"`{name}` {kind}" for name, kind in table.columns.items())
    properties = {**PROPERTIES, "delta.dataSkippingStatsColumns": ",".join(table.statistics)}
    pairs = ", ".join(f"'{key}' = '{value}'" for key, value in properties.items())
    spark.sql(
        f"CREATE TABLE IF NOT EXISTS {table.sql_name} ({columns}) USING delta "
        f"PARTITIONED BY ({', '.join(PARTITION_COLUMNS)}) TBLPROPERTIES ({pairs})"
    )


def recorded(spark: SparkSession, table: LakeTable) -> Recorded:
    """Return how far the table has got: by its newest commit of ours, else by the offsets that are in it."""
    for metadata in islice(_commits(table), MOST_COMMITS):
        found = read_metadata(metadata)
        if found:
            return found
    return Recorded() if _is_new(table) else _highest_offsets(spark, table)


def _commits(table: LakeTable) -> Iterator[str | None]:
    """Yield the metadata of each commit, newest first, as far back as the log goes.

    Delta's own DESCRIBE HISTORY says the same by a job of Spark, which takes half a second.
    """
    log = _log(table)
    version = _newest(log)
    while _commit(log, version).exists():
        yield next((a["commitInfo"].get("userMetadata") for a in _actions(log, version) if "commitInfo" in a), None)
        version -= 1


def _is_new(table: LakeTable) -> bool:
    """Say whether nothing has happened to the table but that it was made, empty: no question for Spark."""
    log = _log(table)
    return _newest(log) == 0 and not any("add" in action for action in _actions(log, 0))


def _actions(log: Path, version: int) -> Iterator[dict[str, Any]]:
    return map(json.loads, _commit(log, version).read_text(encoding="utf-8").splitlines())


def _commit(log: Path, version: int) -> Path:
    return log / f"{version:020}.json"


def _log(table: LakeTable) -> Path:
    return Path(table.uri) / "_delta_log"


def _newest(log: Path) -> int:
    version = _last_checkpoint(log)
    # Where the hint is missing or names no commit, as in a copy of a running lake, Delta lists the log too.
    if not _commit(log, version).exists():
        version = max((int(commit.stem) for commit in log.glob("*.json") if commit.stem.isdigit()), default=-1)
    while _commit(log, version + 1).exists():
        version += 1
    return version


def _last_checkpoint(log: Path) -> int:
    try:
        return int(json.loads((log / "_last_checkpoint").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1


def _highest_offsets(spark: SparkSession, table: LakeTable) -> Recorded:
    """Return the ends that the rows themselves show: the last fallback, when no commit's metadata is left."""
    rows = spark.sql(
        f"SELECT topic_id, `partition`, max(`offset`) + 1 AS `end`, max(arrived_at) AS newest FROM {table.sql_name} "  # noqa: S608
        "GROUP BY topic_id, `partition`"
    ).collect()
    if not rows:
        return Recorded()
    topic_id = max(rows, key=lambda row: row["newest"])["topic_id"]
    return Recorded(topic_id, {row["partition"]: row["end"] for row in rows if row["topic_id"] == topic_id})


def append(table: LakeTable, rows: DataFrame, metadata: str, app: str, version: int) -> None:
    """Commit rows to the table, once: a repeated or lower version of the same application writes nothing.

    Raises:
        LakeStateError: Delta took it for a repetition, which the recorded ends say it is not.
    """
    (
        rows.select(*(f"`{name}`" for name in table.columns))
        .write.format("delta")
        .mode("append")
        .option("txnAppId", app)
        .option("txnVersion", version)
        .option("userMetadata", metadata)
        .save(table.uri)
    )
    if next(_commits(table), None) != metadata:
        raise LakeStateError(
            f"The commit to {table.name} was passed over as a repetition: {app} is beyond {version}.",
            f"{table.uri} holds what it held before; nothing was skipped in Kafka.",
            f"look at the newest commits in {table.uri}/_delta_log, then ./scripts/tieout stream",
        )
