"""Cleans a day's batch into one Parquet file: without what cannot be a payment, with what the dimensions say of it.

Columns, in order: transaction_id text; date_key int32, YYYYMMDD; customer_key, customer_name, segment; channel_key,
channel, fee_percent decimal(9,4); city_key, city, state, region; amount decimal(20,2), rupees; status, success or
failed; processing_time decimal(9,4), seconds; revenue decimal(20,2), the amount of a success and 0 of a failure;
fee_revenue decimal(20,2), of a success; delay_bucket, fast below 1 s, medium below 3 s, else slow.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from core.files import replacing
from core.text import shown
from data_generator.batch.files import DIMENSIONS, TRANSACTIONS, BatchError, BatchFiles, MissingBatchError, read_rows

COLUMNS: Final = pa.schema(
    [
        ("transaction_id", pa.string()),
        ("date_key", pa.int32()),
        ("customer_key", pa.string()),
        ("customer_name", pa.string()),
        ("segment", pa.string()),
        ("channel_key", pa.string()),
        ("channel", pa.string()),
        ("fee_percent", pa.decimal128(9, 4)),
        ("city_key", pa.string()),
        ("city", pa.string()),
        ("state", pa.string()),
        ("region", pa.string()),
        ("amount", pa.decimal128(20, 2)),
        ("status", pa.string()),
        ("processing_time", pa.decimal128(9, 4)),
        ("revenue", pa.decimal128(20, 2)),
        ("fee_revenue", pa.decimal128(20, 2)),
        ("delay_bucket", pa.string()),
    ]
)
_AMOUNT: Final = re.compile(r"-?\d{1,16}(\.\d{1,2})?", re.ASCII)
_SECONDS: Final = re.compile(r"\d{1,5}(\.\d{1,4})?", re.ASCII)
_PAISA: Final = Decimal("0.01")


@dataclass
class Cleaned:
    """What was made of a day's batch.

    Attributes:
        dropped: rows left out, by the reason, a word of the data and no row's text.
        amount: sum of all kept payments, successful or not, in rupees.
        revenue: sum of the successful ones.
    """

    day: date
    file: Path
    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    amount: Decimal = Decimal(0)
    revenue: Decimal = Decimal(0)


def clean(files: BatchFiles, day: date) -> Cleaned:
    """Write the cleaned file of a day, whole or not at all; again gives the same.

    Raises:
        MissingBatchError: the day has no file.
        BatchError: a file cannot be read or written.
    """
    source = files.transactions(day)
    if not source.is_file():
        raise MissingBatchError(day, source)
    dimensions = [_dimension(files.dimension(name), columns) for name, columns in DIMENSIONS.items()]
    made = Cleaned(day, files.cleaned(day))
    rows: list[dict[str, Any]] = []
    known: set[str] = set()
    for _, row in read_rows(source, TRANSACTIONS):
        made.read += 1
        wrong = _wrong(row, day, known, dimensions)
        if wrong:
            made.dropped[wrong] += 1
            continue
        known.add(row["transaction_id"])
        rows.append(_enriched(row, dimensions))
    made.kept = len(rows)
    made.amount = sum((row["amount"] for row in rows), Decimal(0))
    made.revenue = sum((row["revenue"] for row in rows), Decimal(0))
    try:
        made.file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(made.file) as partial:
            pq.write_table(pa.Table.from_pylist(rows, COLUMNS), partial)
    except OSError as error:
        raise BatchError(
            f"{shown(made.file)} cannot be written: {error.strerror}.",
            "nothing was sent.",
            "make room or rights there, then the same command again",
        ) from None
    return made


def _dimension(file: Path, columns: tuple[str, ...]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line, row in read_rows(file, columns):
        key = row[columns[0]]
        if key in found:
            what = f"{shown(file)} line {line}: {columns[0]} {shown(key)} is there twice."
            raise BatchError(what, "nothing was sent.", "take one of the two lines out, then the same command again")
        found[key] = row
    return found


def _wrong(row: dict[str, str], day: date, known: set[str], dimensions: list[dict[str, dict[str, str]]]) -> str | None:
    """Return why a row cannot be a payment, the first reason of several."""
    customers, channels, cities = dimensions
    has_amount = bool(_AMOUNT.fullmatch(row["amount"]))
    channel = channels.get(row["channel_key"])
    reasons = {
        "id missing": not row["transaction_id"].strip(),
        "duplicate": row["transaction_id"] in known,
        "of another day": row["date_key"] != f"{day:%Y%m%d}",
        "amount unreadable": not has_amount,
        "amount not positive": has_amount and Decimal(row["amount"]) <= 0,
        "status unknown": row["status"] not in {"success", "failed"},
        "processing time unreadable": not _SECONDS.fullmatch(row["processing_time"]),
        "customer unknown": row["customer_key"] not in customers,
        "channel unknown": channel is None or not _SECONDS.fullmatch(channel["fee_percent"]),
        "city unknown": row["city_key"] not in cities,
    }
    return next((reason for reason, is_so in reasons.items() if is_so), None)


def _enriched(row: dict[str, str], dimensions: list[dict[str, dict[str, str]]]) -> dict[str, Any]:
    keys = (row["customer_key"], row["channel_key"], row["city_key"])
    merged: dict[str, Any] = dict(row)
    for key, dimension in zip(keys, dimensions, strict=True):
        merged |= dimension[key]
    amount, seconds, fee = (Decimal(merged[name]) for name in ("amount", "processing_time", "fee_percent"))
    is_success = row["status"] == "success"
    earned = (amount * fee / 100).quantize(_PAISA, ROUND_HALF_EVEN)
    return merged | {
        "date_key": int(row["date_key"]),
        "amount": amount,
        "processing_time": seconds,
        "fee_percent": fee,
        "revenue": amount if is_success else Decimal(0),
        "fee_revenue": earned if is_success else Decimal(0),
        "delay_bucket": "fast" if seconds < 1 else "medium" if seconds < 3 else "slow",
    }
