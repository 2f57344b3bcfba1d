"""DuckDB, delta-rs, Spark and pandas read the same rows before and after each step of maintenance."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import delta_tables as lake
import duckdb
import pyarrow as pa
import pytest
from delta_spark import DeltaSpark, delta_spark
from deltalake import QueryBuilder

from spark_streaming import maintenance
from spark_streaming.maintenance import expire_days, maintain_table
from spark_streaming.tables import StreamTable

pytestmark = pytest.mark.services
Rows = list[tuple[Any, ...]]
# Each engine renders what it has read by itself: bytes by a hash, amounts as text, instants as microseconds.
COLUMNS = ("offset", "amount", "occurred_at", "arrived_at", "raw_value", "customer_name", "is_fraud", "headers", "day")


def plain(rows: list[dict[str, Any]]) -> Rows:
    """Return rows of any engine as values that can be compared."""
    return sorted(tuple(_plain(row[name]) for name in COLUMNS) for row in rows)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        return hashlib.sha256(value).hexdigest()
    if hasattr(value, "asDict"):
        value = value.asDict()
    if isinstance(value, dict):
        return tuple(_plain(each) for each in value.values())
    if hasattr(value, "timestamp"):
        return f"{value.timestamp():.6f}" if value == value else None  # pandas' NaT differs from itself
    if isinstance(value, list) or type(value).__name__ == "ndarray":
        return str([_plain(each) for each in value])
    return str(value) if value is not None else None


def by_duckdb(table: StreamTable) -> Rows:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        paths = sorted(map(str, lake.files(table)))
        found = connection.read_parquet(paths, hive_partitioning=True).to_arrow_table()
    return plain(found.to_pylist())


def by_delta_rs(table: StreamTable) -> Rows:
    columns = ", ".join(f'"{name}"' for name in COLUMNS)
    query = QueryBuilder().register("lake", table.lake.delta()).execute(f"select {columns} from lake")
    return plain(pa.table(query.read_all()).to_pylist())


def by_pyarrow(table: StreamTable) -> Rows:
    return plain(lake.rows(table))


def by_pandas(table: StreamTable) -> Rows:
    return plain(table.lake.delta().to_pandas().to_dict("records"))


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeltaSpark]:
    with delta_spark(tmp_path_factory.mktemp("spark")) as process:
        yield process


@pytest.fixture
def read(spark: DeltaSpark) -> Callable[[StreamTable], Rows]:
    """Every reader's rows, which must be the same; returns them once."""

    def by_all(table: StreamTable) -> Rows:
        wanted = by_pyarrow(table)
        assert wanted
        assert plain(spark.read(table.lake.uri).to_pylist()) == wanted, "Spark"
        for reader in (by_duckdb, by_delta_rs, by_pandas):
            assert reader(table) == wanted, reader.__name__
        return wanted

    return by_all


def test_all_readers_see_the_same_rows_after_compaction_checkpoint_vacuum_and_expiry(
    spark: DeltaSpark, read: Callable[[StreamTable], Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = lake.bronze(tmp_path)
    for batch in range(106):
        lake.append(table, 1 + batch // 40, count=2)
    before, now = read(table), time.time
    assert len(before) == 212
    were = lake.files(table)
    with monkeypatch.context() as eight_days_ago:
        eight_days_ago.setattr(maintenance.time, "time", lambda: now() - 8 * 24 * 3600)
        eight_days_ago.setattr(maintenance, "_vacuum", lambda _: None)
        done = maintain_table(table, lake.version(table))
    assert (done["days_compacted"], done["files_before"], done["files_after"]) == (3, 106, 3)
    table.lake.delta().create_checkpoint()
    assert read(table) == before
    for path in were:
        os.utime(path, (now() - 8 * 24 * 3600,) * 2)
    maintain_table(table, lake.version(table))
    assert not any(path.exists() for path in were)
    assert read(table) == before
    assert len(spark.read(table.lake.uri, "`offset` >= 211")) == 1
    newest = max(row["arrived_at"] for row in lake.rows(table))
    assert len(spark.read(table.lake.uri, f"arrived_at >= timestamp '{newest.isoformat()}'")) == 1
    assert expire_days(table, lake.version(table), lake.STARTED.date().replace(day=2)) == 1
    assert read(table) == [row for row in before if row[-1] != "1"]


def test_spark_writes_to_a_table_that_delta_rs_has_maintained_and_the_other_way_round(
    spark: DeltaSpark, read: Callable[[StreamTable], Rows], tmp_path: Path
) -> None:
    table = lake.bronze(tmp_path)
    for _ in range(60):
        lake.append(table, 1, count=2)
    maintain_table(table, lake.version(table))
    for number in range(120, 125):  # the first one is there already: Delta passes over it
        spark.append(table.lake.uri, lake.APP_ID.format("bronze"), number)
    before = read(table)
    assert sorted(int(row[0]) for row in before) == [*range(120), *range(121, 125)]
    assert maintain_table(table, lake.version(table))["files_after"] == 1
    assert read(table) == before, "files that Spark wrote are compacted too"
