# ruff: noqa: S608  (tables and column names are our own)
"""Offsets that are neither event nor dead letter nor accepted loss: written down by the load that passed them.

The stream says that they are a transaction's. The books believe it once the auditor has read them again.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import psycopg

from warehouse.feeds import as_multirange
from warehouse.plan import LoadRange

Spans = list[tuple[int, int]]

_LOADED = """(
    select topic_id, "partition", "offset" from events union all select topic_id, "partition", "offset" from dead
)"""


def write_missing(
    connection: psycopg.Connection[Any],
    workspace: duckdb.DuckDBPyConnection,
    load_id: int,
    load: LoadRange,
    before: Mapping[int, int],
) -> None:
    """Write the offsets of a load that no row has, inside the load's transaction.

    Args:
        connection: the loader's.
        workspace: from open_workspace, with what the load reads.
        load_id: the load.
        load: its range.
        before: the offset behind the last loaded one, by partition: what lies before is in the books already.
    """
    for partition in load.gaps:
        begin = max(load.start[partition], before.get(partition, 0))
        if begin >= load.end[partition]:
            continue
        missing = spans_without(workspace, _LOADED, load.topic_id, partition, (begin, load.end[partition]))
        lost = ((lost.begin, lost.behind) for lost in load.lost if lost.partition == partition)
        connection.execute(
            """
            insert into metadata.missing_offsets (load_id, topic_id, partition, offsets)
            select %s, %s, %s, missing from (select %s::int8multirange - %s::int8multirange as missing) as found
            where not isempty(missing)
            """,
            [load_id, load.topic_id, partition, as_multirange(missing), as_multirange(lost)],
        )


def spans_without(
    workspace: duckdb.DuckDBPyConnection, table: str, topic_id: str | None, partition: int, span: tuple[int, int]
) -> Spans:
    """Return the spans within a span, begin and behind, of which a table has no offset.

    Args:
        workspace: where the table is.
        table: has topic_id, partition and offset.
        topic_id: which rows of it.
        partition: which rows of it.
        span: where to look.
    """
    begin, behind = span
    return [
        (int(low), int(high))
        for low, high in workspace.execute(
            f"""
            select here + 1, following from (
                select "offset" as here, lead("offset") over (order by "offset") as following from (
                    select "offset" from {table}
                    where topic_id = $topic and "partition" = $partition and "offset" >= $begin and "offset" < $behind
                    union select cast($begin as bigint) - 1 union select cast($behind as bigint)
                )
            ) where following > here + 1 order by 1
            """,
            {"topic": topic_id, "partition": partition, "begin": begin, "behind": behind},
        ).fetchall()
    ]


def as_spans(offsets: Iterable[int]) -> Spans:
    """Return offsets as spans, begin and behind."""
    spans: Spans = []
    for offset in sorted(offsets):
        if spans and spans[-1][1] == offset:
            spans[-1] = (spans[-1][0], offset + 1)
        else:
            spans.append((offset, offset + 1))
    return spans
