"""Where daily batches are, and the forms of their files."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from core.errors import TieoutError
from core.files import write_file
from core.layout import Layout
from core.text import shown
from data_generator.ingest.mapping import FileMapping, read_mapping

TRANSACTIONS = (
    "transaction_id", "date_key", "customer_key", "channel_key", "city_key", "amount", "status", "processing_time",
)  # fmt: skip
# The files beside the days, each with its key first.
DIMENSIONS = {
    "customers": ("customer_key", "customer_name", "segment"),
    "channels": ("channel_key", "channel", "fee_percent"),
    "cities": ("city_key", "city", "state", "region"),
}
MAPPING = "daily-batch.yaml"
_AGAIN = "mend the file, then the same command again"
_DAY = re.compile(r"\d{4}/\d{2}/\d{2}")


class BatchError(TieoutError):
    """A day's batch cannot be made or read."""


class MissingBatchError(BatchError):
    """There is no file of a day. No outage: who repeats failed work by itself would hold up the days after it."""

    def __init__(self, day: date, file: Path) -> None:
        super().__init__(
            f"there is no batch of {day}: {shown(file)} is not there.",
            "nothing was read or sent; the days before it stand.",
            f"put the file there, or ./scripts/tieout batch generate --date {day}, then "
            f"./scripts/tieout batch run --date {day}",
        )


@dataclass(frozen=True)
class BatchFiles:
    """The files of the daily batches of a home."""

    layout: Layout

    @property
    def raw(self) -> Path:
        """What arrives: a folder a day, and the dimensions' files."""
        return self.layout.batches

    def transactions(self, day: date) -> Path:
        """Return the file of a day's payments."""
        return self.raw / f"{day:%Y/%m/%d}" / "transactions.csv"

    def cleaned(self, day: date) -> Path:
        """Return the file of a day's cleaned payments."""
        return self.layout.cleaned_batches / f"{day:%Y/%m/%d}" / "cleaned_transactions.parquet"

    def dimension(self, name: str) -> Path:
        """Return the file of customers, channels or cities."""
        return self.raw / f"{name}.csv"

    def days(self) -> list[date]:
        """Return the days that have a file, in order."""
        found = (file.parent for file in self.raw.glob("*/*/*/transactions.csv"))
        names = ("/".join(folder.parts[-3:]) for folder in found)
        return sorted(day for name in names if _DAY.fullmatch(name) and (day := _as_day(name)))

    def missing(self, up_to: date) -> list[date]:
        """Return the days without a file between the first that has one and a day."""
        there = self.days()
        first = there[0].toordinal() if there else up_to.toordinal() + 1
        between = (date.fromordinal(number) for number in range(first, up_to.toordinal() + 1))
        return [day for day in between if day not in there]


def mapping_of(files: BatchFiles) -> FileMapping:
    """Return how a day's file becomes payments: by the mapping beside the dimensions, where it looks up their keys.

    Raises:
        MappingError: it is wrong.
    """
    return read_mapping(files.raw / MAPPING if (files.raw / MAPPING).exists() else written_mapping(files))


def written_mapping(files: BatchFiles) -> Path:
    """Put the shipped mapping beside the dimensions, and return its place.

    Raises:
        BatchError: it cannot be written.
    """
    place = files.raw / MAPPING
    write(place, Path(__file__).with_name(MAPPING).read_bytes())
    return place


def write(file: Path, text: bytes) -> None:
    """Write a whole file.

    Raises:
        BatchError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, text)
    except OSError as error:
        raise BatchError(
            f"{shown(file)} cannot be written: {error.strerror}.",
            "no half-written file is left.",
            "make room or rights there, then the same command again",
        ) from None


def _as_day(name: str) -> date | None:
    try:
        return date.fromisoformat(name.replace("/", "-"))
    except ValueError:
        return None


def read_rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a file with their lines, every value as text.

    Raises:
        BatchError: the file cannot be read, its columns are others, or a row has more or fewer values.
    """
    try:
        with file.open(encoding="utf-8", newline="") as text:
            rows = csv.reader(text, strict=True)
            header = tuple(next(rows, ()))
            if header != columns:
                raise _bad(
                    file, 1, f"the columns are {','.join(header) or 'none'}", f"they must be {','.join(columns)}"
                )
            for row in rows:
                if len(row) != len(columns):
                    raise _bad(file, rows.line_num, f"{len(row)} values", f"there must be {len(columns)}")
                yield rows.line_num, dict(zip(columns, row, strict=True))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise BatchError(f"{shown(file)} cannot be read: {error}.", "nothing was sent.", _AGAIN) from None


def _bad(file: Path, line: int, what: str, repair: str) -> BatchError:
    return BatchError(
        f"{shown(file)} line {line}: {shown(what)}.",
        "nothing was sent.",
        f"mend the line ({repair}), then the same command again",
    )
