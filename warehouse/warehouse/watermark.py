"""How far the loader has read the lake: written with a load's rows, in its transaction."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb


@dataclass(frozen=True)
class Watermark:
    """The last version of a lake's table that is loaded.

    Attributes:
        table_id: Delta's id of the table.
        ends: offset behind the last one loaded, by partition of the topic.
    """

    table_id: str
    version: int
    topic_id: str | None
    ends: dict[int, int]


def read_watermark(connection: psycopg.Connection[Any], lake_table: str) -> Watermark | None:
    """Return the watermark of one of the lake's tables; None before the first load."""
    row = connection.execute(
        "select table_id, version, topic_id, ends from metadata.load_watermark where lake_table = %s", [lake_table]
    ).fetchone()
    if row is None:
        return None
    return Watermark(row[0], row[1], row[2], {int(partition): int(end) for partition, end in row[3].items()})


def write_watermark(
    connection: psycopg.Connection[Any], lake_table: str, watermark: Watermark, load_id: int | None
) -> None:
    """Set a watermark. Call it inside the load's transaction.

    Args:
        connection: the loader's.
        lake_table: name of a table of the lake.
        watermark: what is loaded now.
        load_id: the load that did it; None where only commits without rows were passed.
    """
    connection.execute(
        """
        insert into metadata.load_watermark as w (lake_table, table_id, version, topic_id, ends, load_id)
        values (%s, %s, %s, %s, %s, %s)
        on conflict (lake_table) do update set table_id = excluded.table_id, version = excluded.version,
            topic_id = excluded.topic_id, ends = excluded.ends, load_id = coalesce(excluded.load_id, w.load_id),
            updated_at = now()
        """,
        [
            lake_table,
            watermark.table_id,
            watermark.version,
            watermark.topic_id,
            Jsonb({str(partition): end for partition, end in sorted(watermark.ends.items())}),
            load_id,
        ],
    )


def loaded_ends(connection: psycopg.Connection[Any], topic_id: str) -> dict[int, int]:
    """Return the offset behind the last one that any successful load of a topic took, by partition.

    It comes from the loads themselves, so that a lost watermark makes rows "already loaded", never twice there. It is
    asked for by every load: partition by partition it finds the newest, without a look at the older ones.
    """
    rows = connection.execute(
        """
        with recursive partitions as (
            (select partition from metadata.load_offsets where topic_id = %(topic)s order by partition limit 1)
            union all
            select (
                select o.partition from metadata.load_offsets o
                where o.topic_id = %(topic)s and o.partition > p.partition order by o.partition limit 1
            ) from partitions p where p.partition is not null
        )
        select p.partition, newest.end_offset from partitions p cross join lateral (
            select o.end_offset from metadata.load_offsets o join metadata.load_audit a using (load_id)
            where o.topic_id = %(topic)s and o.partition = p.partition and a.status = 'SUCCESS'
            order by o.end_offset desc limit 1
        ) newest
        """,
        {"topic": topic_id},
    ).fetchall()
    return {int(partition): int(end) for partition, end in rows}
