"""A chunk in the ledger: its payments, what they changed, and itself, in one transaction."""

import io
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core import failpoints
from patterns.chunk_names import detections_name
from patterns.judge import Verdicts
from patterns.ledger import Connection, Watch, detection_id
from patterns.rules import ACTIONS

DETECTIONS_A_FILE = 50


@dataclass(frozen=True)
class ReadChunk:
    """A chunk that was read and judged.

    Attributes:
        version: as the store lists it.
        payments: Arrow: row (in the whole input), step, customer, gender, merchant, category, amount.
        refused: of each row that cannot be read, its number in the whole input and its reasons.
        seen_at: when it was first listed.
    """

    number: int
    name: str
    version: str
    size: int
    sha256: str
    first_row: int
    is_last: bool
    payments: Any
    refused: list[tuple[int, list[str]]]
    seen_at: datetime

    @property
    def rows(self) -> int:
        """All its rows."""
        return int(self.payments.num_rows) + len(self.refused)


def apply_chunk(
    connection: Connection, watch: Watch, chunk: ReadChunk, verdicts: Verdicts, *, detected: int, now: datetime
) -> None:
    """Let a chunk count.

    Args:
        detected: how many detections there were before.
        now: the time of its detections.

    Raises:
        psycopg.Error: nothing of it counts.
    """
    with connection.transaction(), connection.cursor() as cursor:
        _copy_payments(cursor, watch, chunk)
        if chunk.refused:
            cursor.executemany(
                'insert into patterns.refused_rows (watch_id, chunk, "row", reasons) values (%s, %s, %s, %s)',
                [(watch.watch_id, chunk.number, row, reasons) for row, reasons in chunk.refused],
            )
        _insert_detections(cursor, watch, chunk, verdicts, detected=detected, now=now)
        _insert_changes(cursor, watch, chunk, verdicts)
        fix_files(cursor, watch, chunk.number, now, is_end=False)
        cursor.execute(
            "update patterns.findings set settled_at = clock_timestamp() "
            "where watch_id = %s and chunk = %s and settled_at is null and kind not in ('DOUBLED', 'REPLACED')",
            [watch.watch_id, chunk.number],
        )
        failpoints.reach("patterns.before-commit")
        cursor.execute(
            "insert into patterns.chunks values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp())",
            [
                *(watch.watch_id, chunk.number, chunk.name, chunk.version, chunk.size, chunk.sha256, chunk.first_row),
                *(chunk.rows, len(chunk.refused), chunk.is_last, chunk.seen_at),
            ],
        )
    failpoints.reach("patterns.after-commit")


def _copy_payments(cursor: Any, watch: Watch, chunk: ReadChunk) -> None:
    import pyarrow as pa  # noqa: PLC0415  (heavy)
    from pyarrow import csv  # noqa: PLC0415  (heavy)

    rows = chunk.payments.num_rows
    if not rows:
        return
    table = chunk.payments
    for place, (name, value) in enumerate((("watch_id", watch.watch_id), ("chunk", chunk.number))):
        table = table.add_column(place, name, pa.array([value] * rows, pa.int32()))
    out = io.BytesIO()
    csv.write_csv(table, out, csv.WriteOptions(include_header=False, quoting_style="all_valid"))
    with cursor.copy(
        'copy patterns.payments (watch_id, chunk, "row", step, customer, gender, merchant, category, amount) '
        "from stdin (format csv)"
    ) as to:
        to.write(out.getbuffer())


def _insert_detections(
    cursor: Any, watch: Watch, chunk: ReadChunk, verdicts: Verdicts, *, detected: int, now: datetime
) -> None:
    if not verdicts.new:
        return
    with cursor.copy(
        "copy patterns.detections (watch_id, sequence, detection_id, pattern, action, merchant, customer, chunk, "
        "detected_at, evidence) from stdin"
    ) as to:
        for sequence, found in enumerate(verdicts.new, detected + 1):
            key = found.key
            to.write_row(
                (
                    *(watch.watch_id, sequence, detection_id(watch.name, key), key.pattern, ACTIONS[key.pattern]),
                    *(key.merchant, key.customer, chunk.number, now, json.dumps(found.evidence)),
                )
            )


def _insert_changes(cursor: Any, watch: Watch, chunk: ReadChunk, verdicts: Verdicts) -> None:
    changes = [(key, False) for key in verdicts.ended] + [(key, True) for key in verdicts.again]
    if changes:
        cursor.executemany(
            "insert into patterns.detection_changes (watch_id, sequence, chunk, holds) "
            "select watch_id, sequence, %s, %s from patterns.detections "
            "where (watch_id, pattern, merchant, customer) = (%s, %s, %s, %s)",
            [(chunk.number, holds, watch.watch_id, key.pattern, key.merchant, key.customer) for key, holds in changes],
        )


def fix_files(cursor: Any, watch: Watch, chunk: int, now: datetime, *, is_end: bool) -> int:
    """Fix which detections each new file holds, before any of them is written; return how many files are new.

    Args:
        chunk: the newest that counts.
        is_end: the last file may be shorter than the others.
    """
    last, files, detected = cursor.execute(
        "select coalesce(max(last_sequence), 0), count(*), "
        "(select count(*) from patterns.detections where watch_id = %(watch)s) "
        "from patterns.detection_files where watch_id = %(watch)s",
        {"watch": watch.watch_id},
    ).fetchone()
    new = 0
    while detected - last >= (1 if is_end else DETECTIONS_A_FILE):
        upto = min(last + DETECTIONS_A_FILE, detected)
        number = files + new + 1
        cursor.execute(
            "insert into patterns.detection_files (watch_id, file_number, first_sequence, last_sequence, name) "
            "values (%s, %s, %s, %s, %s)",
            [watch.watch_id, number, last + 1, upto, detections_name(chunk, number, now)],
        )
        last, new = upto, new + 1
    return new
