"""Names of chunks and of files of detections: `transactions_chunk_YYYYMMDD_HHMMSS_NNN_FIRSTROW.csv`, times in India."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

IST = timezone(timedelta(hours=5, minutes=30), "IST")

_CHUNK = re.compile(r"transactions_chunk_[0-9]{8}_[0-9]{6}_([0-9]{3,12})_([0-9]{1,18})\.csv", re.ASCII)


@dataclass(frozen=True)
class ChunkName:
    """What a chunk's name says.

    Attributes:
        text: the name.
        number: of the chunk, from 1.
        first_row: how many rows of the input come before its first.
    """

    text: str
    number: int
    first_row: int


def chunk_name(number: int, first_row: int, at: datetime) -> str:
    """Return the name of a chunk that is made at a time."""
    return f"transactions_chunk_{at.astimezone(IST):%Y%m%d_%H%M%S}_{number:03}_{first_row}.csv"


def parse_chunk_name(text: str) -> ChunkName | None:
    """Return what a name says; None for one that is no chunk's."""
    match = _CHUNK.fullmatch(text)
    return ChunkName(text, int(match[1]), int(match[2])) if match else None


def detections_name(chunk: int, file_number: int, at: datetime) -> str:
    """Return the name of a file of detections.

    Args:
        chunk: the newest that had been judged.
        file_number: of the file, from 1.
        at: when its range was fixed.
    """
    return f"detections_batch_{at.astimezone(IST):%Y%m%d_%H%M%S}_{chunk:03}_{file_number}.json"
