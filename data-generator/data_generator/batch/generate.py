"""Makes the batch of a day: the same day and seed give the same bytes."""

import io
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from random import Random
from typing import Final

from core.csv_text import CsvWriter
from core.errors import OptionError
from core.text import shown
from data_generator.batch.files import DIMENSIONS, MAPPING, TRANSACTIONS, BatchError, BatchFiles, write, written_mapping
from data_generator.world import make_world

CUSTOMERS: Final = 1_000
SEGMENTS: Final = ("Retail", "Corporate", "SMB", "Enterprise")
# Channel, fee in per cent.
CHANNELS: Final = (("Credit Card", "2.5"), ("Debit Card", "1.0"), ("UPI", "0.5"), ("Net Banking", "1.5"))
CITIES: Final = (
    ("Mumbai", "Maharashtra", "West"),
    ("Pune", "Maharashtra", "West"),
    ("Ahmedabad", "Gujarat", "West"),
    ("Delhi", "Delhi", "North"),
    ("Jaipur", "Rajasthan", "North"),
    ("Lucknow", "Uttar Pradesh", "North"),
    ("Bengaluru", "Karnataka", "South"),
    ("Chennai", "Tamil Nadu", "South"),
    ("Hyderabad", "Telangana", "South"),
    ("Kochi", "Kerala", "South"),
    ("Kolkata", "West Bengal", "East"),
    ("Patna", "Bihar", "East"),
    ("Bhopal", "Madhya Pradesh", "Central"),
    ("Guwahati", "Assam", "Northeast"),
)
ROWS: Final = 500
MOST_ROWS: Final = 99_999  # the number in an id has five digits
# Of a hundred payments so many succeed.
SUCCESS: Final = 90


def generate(files: BatchFiles, day: date, rows: int = ROWS, seed: int = 0) -> list[Path]:
    """Write a day's payments, and the dimensions where they are not there; return the files that are new.

    What is there already with the same bytes stays as it is.

    Args:
        rows: how many payments.
        seed: another one makes other payments of the same day.

    Raises:
        OptionError: rows is not between 1 and 99,999.
        BatchError: the day has other bytes already, or a file cannot be written.
    """
    if not 1 <= rows <= MOST_ROWS:
        raise OptionError(
            f"--rows {rows} is no number of payments of a day.", "nothing was written.", f"--rows 1 to {MOST_ROWS}"
        )
    written = []
    for name, lines in (("customers", _customers()), ("channels", _channels()), ("cities", _cities())):
        file = files.dimension(name)
        if not file.exists():
            write(file, _text(DIMENSIONS[name], lines))
            written.append(file)
    if not (files.raw / MAPPING).exists():
        written.append(written_mapping(files))
    file, text = files.transactions(day), _text(TRANSACTIONS, _payments(day, rows, seed))
    if file.exists() and file.read_bytes() != text:
        raise BatchError(
            f"{shown(file)} is there already with other payments.",
            "it is unchanged.",
            f"./scripts/tieout batch run --date {day} takes it as it is; to have another one, move it away first",
        )
    if not file.exists():
        write(file, text)
        written.append(file)
    return written


def _customers() -> Iterable[Sequence[object]]:
    for number, customer in enumerate(make_world().customers[:CUSTOMERS]):
        yield number + 1, customer.name, SEGMENTS[number % len(SEGMENTS)]


def _channels() -> Iterable[Sequence[object]]:
    return ((number + 1, *channel) for number, channel in enumerate(CHANNELS))


def _cities() -> Iterable[Sequence[object]]:
    return ((number + 1, *city) for number, city in enumerate(CITIES))


def _payments(day: date, rows: int, seed: int) -> Iterable[Sequence[object]]:
    dice = Random(f"{day} {seed}")  # noqa: S311 (a simulation, nothing secret)
    for number in range(1, rows + 1):
        amount, milliseconds = dice.randint(1_000, 100_000), dice.randint(500, 5_000)
        yield (
            f"T{day:%Y%m%d}{number:05d}",
            f"{day:%Y%m%d}",
            dice.randint(1, CUSTOMERS),
            dice.randint(1, len(CHANNELS)),
            dice.randint(1, len(CITIES)),
            f"{amount // 100}.{amount % 100:02d}",
            "success" if dice.randrange(100) < SUCCESS else "failed",
            f"{milliseconds // 1000}.{milliseconds % 1000:03d}",
        )


def _text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO()
    writer = CsvWriter(out)
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue().encode()
