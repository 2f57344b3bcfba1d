"""Tables of the lake as the stream's writer makes and fills them, with a file and a commit a batch; without Spark."""

import os
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.lake import Lake
from core.places import LocalPlace
from spark_streaming import tables
from spark_streaming.columns import PARTITION_COLUMNS
from spark_streaming.ends import Recorded
from spark_streaming.files import DayFiles, WrittenFile
from spark_streaming.owned_table import OwnedTable
from spark_streaming.tables import StreamTable

TOPIC_ID = "T1"
APP_ID = f"tieout-{{}}-{TOPIC_ID}"
STARTED = datetime(2025, 11, 1, 10, 0, 0, 1, tzinfo=UTC)


def bronze(folder: Path) -> StreamTable:
    """Return the table of a folder, made where it is missing."""
    table, _ = tables.stream_tables(Lake(LocalPlace(folder)), load_entity(PAYMENTS))
    tables.create(table)
    return table


def dead_letters(folder: Path) -> StreamTable:
    """Return the table of a folder, made where it is missing."""
    _, table = tables.stream_tables(Lake(LocalPlace(folder)), load_entity(PAYMENTS))
    tables.create(table)
    return table


def folder_of(table: StreamTable) -> Path:
    assert table.lake.folder is not None
    return table.lake.folder


def _row(table: StreamTable, offset: int, day: int) -> dict[str, Any]:
    arrived = STARTED.replace(day=day) + timedelta(microseconds=offset * 10_001)
    own: dict[str, Any] = {"reasons": ["MALFORMED_JSON", None][: offset % 3]}
    if table.name == "bronze":
        own = {
            "transaction_id": f"t{offset}",
            "amount": Decimal(offset).scaleb(-4) + 9_999_999_999_999_999 - offset,
            "occurred_at": None if offset % 7 == 0 else arrived,
            "customer_name": "Zoë \N{GRINNING FACE}" if offset % 2 else None,
            "is_fraud": bool(offset % 2),
        }
    return {
        **own,
        "raw_value": None if offset % 11 == 3 else os.urandom(40) + b"\0\xff",
        "message_key": b"k",
        "headers": [[], None, [{"key": "run", "value": b"r"}, {"key": "x", "value": None}]][offset % 3],
        "seq": offset,
        "topic_id": TOPIC_ID,
        "partition": 0,
        "offset": offset,
        "arrived_at": arrived,
        **dict(zip(PARTITION_COLUMNS, (2025, 11, day), strict=True)),
    }


def written(table: StreamTable, day: int, offsets: range) -> list[WrittenFile]:
    """Write the file of a day that holds these offsets."""
    with ExitStack() as task:
        files = DayFiles(table.lake, table.schema, table.statistics, table.entity, task)
        files.put(pa.RecordBatch.from_pylist([_row(table, offset, day) for offset in offsets], schema=table.schema))
        return list(files.close())


def append(
    table: StreamTable, day: int, count: int = 4, *, seen: DeltaTable | None = None, name: str | None = None
) -> None:
    """Append the next offsets as a file of a day, as the writer that owns the table does.

    Args:
        seen: the version that the writer knows; the newest if None.
        name: the file's; one of the writer's own if None.
    """
    start = tables.recorded(table).ends.get(0, 0)
    [file] = written(table, day, range(start, start + count))
    if name:
        path = Path(file.path).with_name(name)
        (folder_of(table) / file.path).rename(folder_of(table) / path)
        file = replace(file, path=str(path))
    owned = OwnedTable(table, "transactions", Recorded(TOPIC_ID, {0: start}), seen or table.lake.delta())
    owned.commit([file], {0: start}, {0: start + count})


def rows(table: StreamTable) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.lake.delta().to_pyarrow_table().to_pylist()
    return sorted(found, key=lambda row: row["offset"])


def offsets(table: StreamTable) -> list[int]:
    return [row["offset"] for row in rows(table)]


def version(table: StreamTable) -> int:
    found: int = table.lake.delta().version()
    return found


def last_of_the_stream(table: StreamTable) -> int | None:
    """Return the number that Delta knows of the stream's last commit."""
    found: int | None = table.lake.delta().transaction_version(APP_ID.format(table.name))
    return found


def files(table: StreamTable) -> set[Path]:
    return {folder_of(table) / file.path for file in table.lake.files()}


def log_of(table: StreamTable) -> Path:
    return folder_of(table) / "_delta_log"
