"""Which files were ingested, kept in PostgreSQL: the same bytes are sent once, and a killed run is continued."""

import getpass
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from contracts.control_total import FileTotal
from core.database_errors import DatabaseAwayError
from core.errors import OutageError
from core.pooler import open_session
from core.settings import Settings
from core.text import shown
from data_generator.ingest.check_pass import Checked
from data_generator.ingest.errors import NOTHING_SENT
from data_generator.ingest.mapper import Refused
from data_generator.ingest.mapping import FileMapping
from data_generator.ingest.sketch import shared_percent

# A few rows of two files may well be equal, and two payments.
OVERLAP_PERCENT: Final = 5
_MOST_COMPARED: Final = 1_000
SENDING: Final = "SENDING"
SENT: Final = "SENT"
_COLUMNS: Final = (
    "known_offsets, run, name, id_name, sha256, mapping, state, began_at, ended_at, known_seq, topic_id, total"
)


@dataclass(frozen=True)
class KnownFile:
    """A file that was ingested, or of which that has begun.

    Attributes:
        known_offsets: events beyond known_seq lie at these offsets or behind them, by partition.
        run: its feed.
        known_seq: so many of its events are acknowledged.
        topic_id: of the topic that the offsets are of.
        total: what the file holds, as its control totals say it.
    """

    known_offsets: Mapping[int, int]
    run: str
    name: str
    id_name: str | None
    sha256: str
    mapping: str
    state: str
    began_at: datetime
    ended_at: datetime | None
    known_seq: int
    topic_id: str | None
    total: Mapping[str, Any]


class Registry:
    """The files that were ingested.

    Args:
        connection: of role ingest, in autocommit mode.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = self._connection = connection

    @contextmanager
    def only_one(self, *what: str) -> Iterator[None]:
        """Hold the right to ingest a file of this name, or of these bytes.

        Raises:
            OutageError: another process has it.
        """
        for each in what:
            key = int.from_bytes(hashlib.sha256(each.encode()).digest()[:8], signed=True)
            row = self._connection.execute("select pg_try_advisory_lock(%s)", [key]).fetchone()
            if not row or not row[0]:
                raise OutageError(
                    f"another process ingests {shown(each)} at this moment.", NOTHING_SENT, "wait until it has ended"
                )
        yield  # the locks end with the session

    def find_same(self, sha256: str, mapping: FileMapping) -> KnownFile | None:
        """Return the file with the same bytes that was ingested by the same mapping, whatever its name was.

        Under a newer contract the same mapping says nothing new: only a field that it names would.
        """
        return self._one("sha256 = %s and mapping_sha256 = %s", [sha256, mapping.sha256])

    def find_name(self, name: str) -> KnownFile | None:
        """Return the newest file of a name."""
        return self._one("name = %s order by began_at desc limit 1", [name])

    def find_overlap(self, name: str, sketch: bytes, mapping: FileMapping) -> tuple[str, int] | None:
        """Return the file of another name that shares most rows with a file without ids, and how many percent."""
        rows = self._connection.execute(
            "select name, sketch from metadata.files where sketch is not null and entity = %s and name <> %s "
            "order by began_at desc limit %s",
            [mapping.entity.name, name, _MOST_COMPARED],
        ).fetchall()
        percent, other = max(((shared_percent(sketch, bytes(each)), known) for known, each in rows), default=(0, ""))
        return (other, percent) if percent >= OVERLAP_PERCENT else None

    def begin(
        self,
        run: str,
        checked: Checked,
        mapping: FileMapping,
        total: FileTotal,
        offsets: Mapping[int, int],
        *,
        changes: str | None,
        id_name: str | None,
    ) -> KnownFile:
        """Write down that a file is about to be sent, and where its topic ends before that."""
        entity = mapping.entity
        self._connection.execute(
            "insert into metadata.files (run, entity, name, sha256, size, mapping, mapping_file, mapping_sha256, "
            "contract, total, asked_by, known_offsets, changes, sketch, id_name, columns) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                *(
                    run,
                    entity.name,
                    total.name,
                    checked.sha256,
                    checked.size,
                    mapping.name,
                    mapping.asked,
                    mapping.sha256,
                ),
                *(entity.version, Jsonb(total.as_json()), asked_by(), _as_json(offsets)),
                *(changes, checked.sketch, id_name, list(checked.columns)),
            ],
        )
        found = self._one("run = %s", [run])
        if found is None:
            raise LookupError(run)
        return found

    def keep_refused(self, run: str, rows: Sequence[Refused]) -> None:
        """Keep rows that are refused; those that an earlier run has kept are there once."""
        with self._connection.cursor() as cursor:
            cursor.executemany(
                "insert into raw.refused_rows (run, line, byte_offset, content, reasons, problems, currency, amount) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict (run, line) do nothing",
                [
                    (
                        *(run, each.record.line, each.record.offset),
                        each.record.raw.encode("utf-8", "surrogateescape"),
                        sorted({problem.code for problem in each.problems}),
                        [shown(problem) for problem in each.problems],
                        *(each.currency, each.amount),
                    )
                    for each in rows
                ],
            )

    def advance(self, run: str, seq: int, offsets: Mapping[int, int], topic_id: str | None) -> None:
        """Write down how far a file is sent: all later events lie at these offsets or behind them."""
        self._connection.execute(
            "update metadata.files set known_seq = %s, known_offsets = known_offsets || %s, topic_id = %s "
            "where run = %s and known_seq <= %s",
            [seq, _as_json(offsets), topic_id, run, seq],
        )

    def finish(self, run: str) -> None:
        """Write down that the broker has all of a file, and its closing control total."""
        self._connection.execute(
            "update metadata.files set state = 'SENT', ended_at = clock_timestamp() where run = %s and state <> 'SENT'",
            [run],
        )

    def _one(self, condition: str, parameters: Sequence[object]) -> KnownFile | None:
        query = f"select {_COLUMNS} from metadata.files where {condition}"  # noqa: S608  (conditions of this module)
        row = self._connection.execute(query, parameters).fetchone()
        return KnownFile({int(partition): offset for partition, offset in row[0].items()}, *row[1:]) if row else None


@contextmanager
def open_registry(settings: Settings) -> Iterator[Registry]:
    """Open the warehouse as role ingest.

    Raises:
        OutageError: it is away, or goes away before the end.
    """
    try:
        with open_session(settings.dsn("ingest")) as connection:
            connection.execute("set client_connection_check_interval = '1s'")
            yield Registry(connection)
    except psycopg.OperationalError as error:
        left = "what was sent of a file is found again by the next run; nothing is sent twice."
        raise DatabaseAwayError(error, left, "ingest the file again") from None


def _as_json(offsets: Mapping[int, int]) -> Jsonb:
    return Jsonb({str(partition): offset for partition, offset in sorted(offsets.items())})


def asked_by() -> str:
    """Return who gives a command."""
    name = os.environ.get("SUDO_USER")
    if name:
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
