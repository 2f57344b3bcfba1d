"""Refused rows after their file: counted, written to a file to be mended, sent again, or written off."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import psycopg

from contracts.control_total import Money
from core.errors import TieoutError
from core.text import shown
from data_generator.ingest.csv_reader import CsvRows
from data_generator.ingest.errors import NOTHING_SENT
from data_generator.ingest.json_reader import JsonRows
from data_generator.ingest.mapping import FileMapping
from data_generator.ingest.record import Rows
from data_generator.ingest.registry import asked_by
from data_generator.ingest.source import Source

LINE_COLUMN: Final = "refused_line"
LIST: Final = "./scripts/tieout refused list"


class RefusedError(TieoutError):
    """Refused rows cannot be taken as they are asked for."""


@dataclass(frozen=True)
class RefusedFile:
    """The refused rows of a file's feed.

    Attributes:
        run: the feed.
        name: of the file.
        states: by state (OPEN, SENT_AGAIN, WRITTEN_OFF), how many rows and the money of those with an amount.
        reasons: how many open rows there are for each reason.
    """

    run: str
    name: str
    states: dict[str, tuple[int, dict[str, Money]]]
    reasons: dict[str, int]


def list_refused(connection: psycopg.Connection[Any]) -> list[RefusedFile]:
    """Return the files that have refused rows, the newest first."""
    files: dict[str, RefusedFile] = {}
    for run, name, state, currency, count, amount in connection.execute(
        "select r.run, f.name, coalesce(r.decision, 'OPEN'), r.currency, count(*), sum(r.amount) "
        "from raw.refused_rows r join metadata.files f using (run) "
        "group by 1, 2, 3, 4, f.began_at order by f.began_at desc, 3, 4"
    ).fetchall():
        found = files.setdefault(run, RefusedFile(run, name, {}, {}))
        rows, money = found.states.get(state, (0, {}))
        found.states[state] = (rows + count, money | ({currency: Money(count, amount)} if currency else {}))
    for run, reason, count in connection.execute(
        "select run, code, count(*) from raw.refused_rows, unnest(reasons) as code where decision is null "
        "group by 1, 2 order by 1, 2"
    ).fetchall():
        files[run].reasons[reason] = count
    return list(files.values())


@dataclass(frozen=True)
class OpenRows:
    """The open refused rows of a feed, as they stand in its file.

    Attributes:
        mapping_file: the mapping that they were refused by: a shipped one's name, or the path of a file.
        columns: of the file, where its form has columns.
        rows: line and content, in the order of the file.
    """

    run: str
    mapping_file: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[int, bytes]]

    def lines(self, mapping: FileMapping) -> Iterator[bytes]:
        """Yield the lines of a file with these rows; each says the line that it had in its own file."""
        if mapping.form.format == "csv":
            delimiter = mapping.form.csv.delimiter
            yield delimiter.join([LINE_COLUMN, *map(_header_cell, self.columns)]).encode() + b"\n"
            for line, content in self.rows:
                yield b"%d%s%s\n" % (line, delimiter.encode(), content)
            return
        for line, content in self.rows:
            text = content.strip()
            if text.startswith(b'{"%s": ' % LINE_COLUMN.encode()):  # it was sent again before
                text = b"{" + text.partition(b",")[2]
            begin = json.dumps({LINE_COLUMN: line})[:-1].encode()
            rest = text[1:].lstrip()
            yield begin + (b"}" if rest == b"}" else b", " + rest) + b"\n" if text.startswith(b"{") else content + b"\n"


def open_rows_of(connection: psycopg.Connection[Any], run: str) -> OpenRows:
    """Return the open refused rows of a feed.

    Raises:
        RefusedError: it has none.
    """
    held = connection.execute("select mapping_file, columns from metadata.files where run = %s", [run]).fetchone()
    rows = connection.execute(
        "select line, content from raw.refused_rows where run = %s and decision is null order by line", [run]
    ).fetchall()
    if held is None or not rows:
        what = "has no open refused rows" if held else "is the feed of no file"
        raise RefusedError(f"{shown(run)} {what}.", NOTHING_SENT, LIST)
    return OpenRows(run, held[0], tuple(held[1]), [(line, bytes(content)) for line, content in rows])


def mapping_of_rows(mapping: FileMapping, rows: OpenRows) -> FileMapping:
    """Return a mapping for a file of refused rows, which has a column more than their own file.

    It is another one for each feed: equal rows of two files are two payments.
    """
    form = mapping.form
    if form.format == "csv":
        before = [name if name != LINE_COLUMN else f"{LINE_COLUMN}_before" for name in rows.columns]
        stated = {"columns": [LINE_COLUMN, *before], "skip_lines": 1, "encoding": "utf-8"}
        form = form.model_copy(update={"csv": form.csv.model_copy(update=stated), "member": None, "name": None})
    else:
        form = form.model_copy(update={"format": "json-lines", "encoding": "utf-8", "member": None, "name": None})
    return replace(mapping, form=form, sha256=sha256(f"{mapping.sha256} {rows.run}".encode()).hexdigest())


def named_lines(file: Path, mapping: FileMapping) -> set[int]:
    """Return the lines that the rows of a mended file say that they had.

    Args:
        mapping: of such files, from `mapping_of_rows`.

    Raises:
        RefusedError: a row names none.
        SourceError: the file cannot be read.
    """
    source = Source(file, str(file))
    is_csv = mapping.form.format == "csv"
    rows: Rows = CsvRows(source, mapping.form.csv, [LINE_COLUMN]) if is_csv else JsonRows(source, [LINE_COLUMN])
    found: set[int] = set()
    for record in rows:
        named = record.values[0] if record.values else record.raw.partition(mapping.form.csv.delimiter)[0]
        if named is None or not named.strip().isdigit():
            raise RefusedError(
                f"{shown(file)} line {record.line} does not say in {LINE_COLUMN} which row it was.",
                NOTHING_SENT,
                "export the rows again, and leave that column as it is",
            )
        found.add(int(named))
    return found


def decide(
    connection: psycopg.Connection[Any], run: str, lines: Sequence[int], decision: str, *, new_run: str | None = None,
    reason: str | None = None,
) -> int:  # fmt: skip
    """Write down what became of open refused rows; return how many."""
    return connection.execute(
        "update raw.refused_rows set decision = %s, decided_at = clock_timestamp(), decided_by = %s, new_run = %s, "
        "reason = %s where run = %s and line = any(%s) and decision is null",
        [decision, asked_by(), new_run, reason, run, list(lines)],
    ).rowcount


def log_unmasked(connection: psycopg.Connection[Any], run: str, rows: int) -> None:
    """Write down who wrote the text of refused rows to a file."""
    connection.execute(
        "insert into metadata.unmask_log (asked_by, command, book, selection, letters) "
        "values (%s, 'export', 'refused_rows', %s, %s)",
        [asked_by(), run, rows],
    )


def _header_cell(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if set(name) & set('",;\n\r\t|') else name
