"""Care of the lake: small files become large ones, and files that nobody needs any more go.

Only what the loader has passed is touched: days without a file that is newer than its watermark. Compaction changes no
row (`dataChange=false`); no row of bronze expires. Dead letters go by whole days, when somebody asks for it.
Readers keep a week for what they have open.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import PurePosixPath
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from contracts.model import load_contract
from core.layout import Layout
from core.locks import is_record_locked
from core.settings import Settings
from spark_streaming import lock, requests, tables
from spark_streaming.columns import PARTITION_COLUMNS
from spark_streaming.ends import commit_metadata
from spark_streaming.errors import WarehouseAwayError
from spark_streaming.session import start_session
from spark_streaming.tables import LakeTable

KEEP_HOURS = 7 * 24
SMALL_BYTES = 64 * 1024 * 1024
FEWEST_FILES = 4
METADATA_CONF = "spark.databricks.delta.commitInfo.userMetadata"


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


def maintain(
    spark: SparkSession,
    settings: Settings,
    lake: Sequence[LakeTable],
    expire_before: str | None = None,
) -> dict[str, Any]:
    """Compact and vacuum what the loader has passed; the caller holds the writer's lock.

    Args:
        spark: the writer's session.
        settings: for the warehouse.
        lake: bronze, then the dead letters.
        expire_before: a day such as 2026-03-31: dead letters of the days before it go; None: none.

    Returns:
        for each table: watermark, days compacted, files before and after; for the dead letters days_expired too.
    """
    passed = watermarks(settings)
    dead_letters = lake[-1]
    expired = 0
    if expire_before:
        day = date.fromisoformat(expire_before)
        expired = expire_days(spark, dead_letters, passed.get(PurePosixPath(dead_letters.uri).name), day)
    done = {table.name: maintain_table(spark, table, passed.get(PurePosixPath(table.uri).name)) for table in lake}
    done[dead_letters.name]["days_expired"] = expired
    return done


def expire_days(spark: SparkSession, table: LakeTable, watermark: int | None, before: date) -> int:
    """Delete the days before one, whole files at a time; return how many days went.

    Nothing goes while the loader has not passed all of them: what it has not read is in no book yet.
    """
    if watermark is None:
        return 0
    if any(day < (before.year, before.month, before.day) for day in _days_added_after(spark, table, watermark)):
        return 0
    where = f"year * 10000 + month * 100 + day < {before:%Y%m%d}"
    days = spark.read.format("delta").load(table.uri).where(where).select(*PARTITION_COLUMNS).distinct().count()
    if days:
        with _says_its_ends(spark, table, expired_before=before.isoformat()):
            spark.sql(f"DELETE FROM {table.sql_name} WHERE {where}").collect()  # noqa: S608  (a number)
    return days


def maintain_table(spark: SparkSession, table: LakeTable, watermark: int | None) -> dict[str, Any]:
    """Compact and vacuum one table up to a version; None: the loader has read nothing, so nothing is touched."""
    if watermark is None:
        return {"watermark": None, "days_compacted": 0, "files_before": None, "files_after": None}
    files = _files(spark, table)
    before, days = files.count(), _days_to_compact(spark, table, files, watermark)
    with _says_its_ends(spark, table):
        for day in days:
            where = " AND ".join(f"{column} = {int(day[column])}" for column in PARTITION_COLUMNS)
            spark.sql(f"OPTIMIZE {table.sql_name} WHERE {where}").collect()
        spark.sql(f"VACUUM {table.sql_name} RETAIN {KEEP_HOURS} HOURS").collect()
    return {
        "watermark": watermark,
        "days_compacted": len(days),
        "files_before": before,
        "files_after": _files(spark, table).count(),
    }


def _files(spark: SparkSession, table: LakeTable) -> DataFrame:
    """Return path, size and day of the files that the table consists of now."""
    rows = spark.read.format("delta").load(table.uri)
    files = rows.selectExpr("_metadata.file_path AS path", "_metadata.file_size AS size", *PARTITION_COLUMNS)
    return files.distinct()


def _days_to_compact(
    spark: SparkSession, table: LakeTable, files: DataFrame, watermark: int
) -> list[Mapping[str, Any]]:
    small = files.where(f"size < {SMALL_BYTES}").groupBy(*PARTITION_COLUMNS).count().where(f"count >= {FEWEST_FILES}")
    newer = _days_added_after(spark, table, watermark)
    return [day for day in (row.asDict() for row in small.collect()) if _key(day) not in newer]


def _key(day: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(day[column]) for column in PARTITION_COLUMNS)


def _days_added_after(spark: SparkSession, table: LakeTable, watermark: int) -> set[tuple[int, ...]]:
    last = spark.sql(f"DESCRIBE HISTORY {table.sql_name} LIMIT 1").collect()[0]["version"]
    commits = [f"{table.uri}/_delta_log/{version:020d}.json" for version in range(watermark + 1, last + 1)]
    if not commits:
        return set()
    added = spark.read.schema("add struct<partitionValues: map<string, string>>").json(commits).where("add IS NOT NULL")
    days = added.selectExpr(
        *(f"cast(add.partitionValues['{column}'] AS int) AS {column}" for column in PARTITION_COLUMNS)
    )
    return {_key(row.asDict()) for row in days.distinct().collect()}


@contextmanager
def _says_its_ends(spark: SparkSession, table: LakeTable, **beside: str) -> Iterator[None]:
    """Let the commits within say how far the table has got, as every commit of the lake does."""
    found = tables.recorded(spark, table)
    if found.topic_id is None:
        yield
        return
    topic = load_contract().topics["transactions"].name
    spark.conf.set(METADATA_CONF, commit_metadata(topic, found.topic_id, found.ends, found.ends, 0, **beside))
    try:
        yield
    finally:
        spark.conf.unset(METADATA_CONF)


def run_maintenance(
    settings: Settings, layout: Layout, *, patience: float, expire_before: str | None = None
) -> dict[str, Any]:
    """Maintain the lake: the running stream does it between batches, else a session of our own.

    Raises:
        TieoutError: the warehouse, the stream or Spark failed; the lake is whole.
    """
    if is_record_locked(layout.writer_lock):
        wishes = {"expire_before": expire_before} if expire_before else {}
        return requests.ask(layout, wishes, patience=patience, still_runs=lambda: is_record_locked(layout.writer_lock))
    watermarks(settings)
    spark = start_session(settings, layout, "tieout maintain", ui=False)
    try:
        lock.take(spark, layout.writer_lock)
        contract = load_contract()
        lake = [
            tables.bronze_table(str(layout.bronze), contract),
            tables.dead_letter_table(str(layout.dead_letters)),
        ]
        for table in lake:
            tables.create(spark, table)
        return maintain(spark, settings, lake, expire_before)
    finally:
        spark.stop()
