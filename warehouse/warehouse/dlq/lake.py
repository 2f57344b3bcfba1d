# ruff: noqa: S608  (names are our own; values are registered tables)
"""The bytes of letters, out of the lake: read once, kept in a private workspace, handed out in bounded pages."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from contracts.model import Entity
from core.errors import TieoutError
from core.lake import Lake, LakeTable, LiveFile
from warehouse.dlq.selection import Coordinates, Wanted
from warehouse.read import open_workspace

MEMORY = "512MB"
PAGE_LETTERS, PAGE_BYTES = 1_000, 16 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Letter:
    """A letter's message.

    Attributes:
        status_at: when its status was reached: the header's time where that is at most a day after the arrival, else
            the arrival.
    """

    place: Coordinates
    value: bytes | None
    key: bytes | None
    status_at: str
    reasons: tuple[str, ...]


class Letters:
    """Letters whose bytes the lake has.

    Attributes:
        count: how many were asked for.
        gone: those whose bytes are no longer there: retention has removed them.
    """

    def __init__(self, workspace: duckdb.DuckDBPyConnection) -> None:
        self._workspace = workspace
        self.count = self._scalar("select count(*) from letters")
        rows = workspace.execute(
            'select topic_id, "partition", "offset" from letters where not is_there order by n limit 100'
        ).fetchall()
        self.gone_count = self._scalar("select count(*) from letters where not is_there")
        self.gone = [Coordinates(*row) for row in rows]

    def _scalar(self, query: str) -> int:
        return int(self._workspace.execute(query).fetchall()[0][0])

    def pages(self) -> Iterator[list[Letter]]:
        """Yield the letters in order, at most PAGE_LETTERS and, beyond a first one, about PAGE_BYTES at a time."""
        pages = self._workspace.execute(f"""
            select min(n), max(n) from (
                select n, (row_number() over (order by n) - 1) // {PAGE_LETTERS} as thousand,
                    sum(coalesce(octet_length(raw_value), 0)) over (order by n) // {PAGE_BYTES} as weight
                from letters where is_there
            ) group by thousand, weight order by 1
        """).fetchall()
        for first, last in pages:
            rows = self._workspace.execute(
                """
                select topic_id, "partition", "offset", raw_value, message_key, status_us, reasons
                from letters where is_there and n between ? and ? order by n
                """,
                [first, last],
            ).fetchall()
            yield [
                Letter(Coordinates(t, p, o), value, key, _text(us), tuple(reasons.split(",")))
                for t, p, o, value, key, us, reasons in rows
            ]


def _text(microseconds: int) -> str:
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat().replace("+00:00", "Z")


@contextmanager
def open_letters(lake: Lake, entity: Entity, wanted: Iterable[list[Wanted]], *, rejected: bool) -> Iterator[Letters]:
    """Read the bytes of an entity's letters from its table of the lake.

    Args:
        lake: where the tables are.
        entity: whose.
        rejected: rejected events, which are in bronze, instead of dead letters.
        wanted: coordinates, day of arrival and reasons.

    Raises:
        TieoutError: the lake cannot be read.
    """
    table = lake.table(entity.bronze if rejected else entity.dead_letters)
    with open_workspace(Path(tempfile.gettempdir()), MEMORY) as workspace:
        workspace.execute(
            'create table wanted (n bigint, topic_id varchar, "partition" integer, "offset" bigint, reasons varchar)'
        )
        days = _fill(workspace, wanted)
        try:
            _read(workspace, table, days)
        except (duckdb.Error, FileNotFoundError) as error:
            raise TieoutError(
                f"the lake at {table} cannot be read: {str(error).splitlines()[0]}",
                "nothing was sent or written.",
                "the same command again; if it says so again, ./scripts/tieout proof --full",
            ) from None
        yield Letters(workspace)


def _fill(workspace: duckdb.DuckDBPyConnection, wanted: Iterable[list[Wanted]]) -> set[date]:
    days: set[date] = set()
    number = 0
    for rows in wanted:
        places = [row.place for row in rows]
        days.update(row.day for row in rows)
        numbers = range(number, number + len(rows))
        number += len(rows)
        chunk = pa.table(
            {
                "n": pa.array(numbers, pa.int64()),
                "topic_id": pa.array([place.topic_id for place in places], pa.string()),
                "partition": pa.array([place.partition for place in places], pa.int32()),
                "offset": pa.array([place.offset for place in places], pa.int64()),
                "reasons": pa.array([row.reasons for row in rows], pa.string()),
            }
        )
        workspace.register("chunk", chunk)
        workspace.execute("insert into wanted select * from chunk")
        workspace.unregister("chunk")
    return days


def _read(workspace: duckdb.DuckDBPyConnection, table: LakeTable, days: set[date]) -> None:
    columns = 'topic_id, "partition", "offset"'
    workspace.execute(
        'create table found (topic_id varchar, "partition" integer, "offset" bigint, raw_value blob, message_key blob, '
        "status_us bigint)"
    )
    for source in table.portions(workspace, _files(table, days)):
        workspace.execute(f"""
            insert into found select {columns}, raw_value, message_key,
                epoch_us(case when cast(status_at as timestamptz) <= cast(arrived_at as timestamptz) + interval '1 day'
                    then cast(status_at as timestamptz) else cast(arrived_at as timestamptz) end)
            from {source} semi join wanted using ({columns})
        """)
    workspace.execute(f"""
        create table letters as
        select w.n, {columns}, f.raw_value, f.message_key, f.status_us, w.reasons,
            f.status_us is not null as is_there
        from wanted w left join found f using ({columns})
    """)
    workspace.execute("drop table found")


def _files(table: LakeTable, days: set[date]) -> list[LiveFile]:
    folders = tuple(f"year={day.year}/month={day.month}/day={day.day}/" for day in days)
    return [file for file in table.files() if file.path.startswith(folders)] if days else []
