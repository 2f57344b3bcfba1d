# ruff: noqa: S608  (table names are our own; values are parameters)
"""Control totals of a load: counted in the lake on one side and in silver's books on the other, and they must agree."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import duckdb
import psycopg

from contracts.model import Entity
from core.errors import TieoutError
from warehouse.plan import LoadRange
from warehouse.read import dead_letters_among

# (partition, currency): currencies outside the contract are None and have no amount.
Totals = dict[tuple[int, str | None], tuple[int, Decimal | None]]


def currency_sql(entity: Entity) -> str:
    """Return an expression for the currency, NULL for those outside the contract."""
    known = ", ".join(f"'{currency}'" for currency in entity.currencies)
    return f"case when currency in ({known}) then currency end"


def count_bronze(workspace: duckdb.DuckDBPyConnection, entity: Entity) -> Totals:
    """Return count and amount of the load's events by partition and currency, from the lake's files."""
    rows = workspace.execute(f"""
        select "partition", {currency_sql(entity)} as known, count(*),
            case when known is not null then sum(amount) end
        from events group by 1, 2
    """).fetchall()
    return {(partition, currency): (count, amount) for partition, currency, count, amount in rows}


def sum_new(connection: psycopg.Connection[Any], load_id: int, entity: Entity) -> None:
    """Make the temporary table new_sums: the load's new rows in silver, read once and summed for all who ask."""
    connection.execute(
        f"""
        create temporary table new_sums on commit drop as
        select "partition", currency, status, count(*) as count, sum(amount) as amount
        from {entity.silver} where load_id = %s group by 1, 2, 3
        """,
        [load_id],
    )


def count_books(
    connection: psycopg.Connection[Any], load_id: int, entity: Entity, *, staged: bool
) -> dict[str, Totals]:
    """Return the same by book, from the rows that now stand in silver; behind sum_new.

    Args:
        connection: inside the load's transaction.
        load_id: the load.
        entity: tables and currencies.
        staged: the temporary tables of the stage path hold what was loaded before.
    """
    known = currency_sql(entity)
    select = f'select "partition", {known}, count(*), case when {known} is not null then sum(amount) end'
    books = {
        book: _totals(connection.execute(f"{select} from {table} where load_id = %s group by 1, 2", [load_id]))
        for book, table in (("DUPLICATE", entity.duplicates), ("REJECTED", entity.rejected))
    }
    books["NEW"] = _totals(
        connection.execute(
            f'select "partition", {known}, sum(count)::bigint, case when {known} is not null then sum(amount) end'
            " from new_sums group by 1, 2"
        )
    )
    books["ALREADY_LOADED"] = (
        _totals(
            connection.execute(
                f"{select} from stage s join verdicts v on v.place = s.ctid "
                "where v.verdict = 'ALREADY_LOADED' group by 1, 2"
            )
        )
        if staged
        else {}
    )
    dead = connection.execute(
        'select "partition", null, count(*), null from raw.dead_letters where load_id = %s group by 1', [load_id]
    )
    books["DEAD_LETTER"] = _totals(dead)
    return books


def _totals(cursor: psycopg.Cursor[Any]) -> Totals:
    return {(partition, currency): (count, amount) for partition, currency, count, amount in cursor.fetchall()}


def check_books(bronze: Totals, books: dict[str, Totals]) -> None:
    """Hold the lake's totals against silver's: every event is in exactly one book, with its amount.

    Raises:
        TieoutError: they differ; the load must not be committed.
    """
    sums: dict[tuple[int, str | None], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for book, totals in books.items():
        if book == "DEAD_LETTER":
            continue
        for key, (count, amount) in totals.items():
            sums[key][0] += count
            sums[key][1] += amount or 0
    for key in sorted({*bronze, *sums}, key=str):
        count, amount = bronze.get(key, (0, None))
        if sums[key] != [count, amount or 0]:
            raise TieoutError(
                f"partition {key[0]}, currency {key[1]}: the lake has {count} events of {amount}, "
                f"and the books would hold {sums[key][0]} of {sums[key][1]}.",
                "the load was rolled back; silver and the watermark are as the last load left them.",
                "./scripts/tieout proof --full",
            )


def write_totals(connection: psycopg.Connection[Any], load_id: int, bronze: Totals, books: dict[str, Totals]) -> None:
    """Write a load's control totals."""
    rows = [
        (load_id, book, partition, currency, count, amount)
        for book, totals in {"BRONZE": bronze, **books}.items()
        for (partition, currency), (count, amount) in totals.items()
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into metadata.load_totals (load_id, book, partition, currency, count, amount)
            values (%s, %s, %s, %s, %s, %s)
            """,
            rows,
        )


def write_offsets(connection: psycopg.Connection[Any], load_id: int, load: LoadRange) -> None:
    """Write which offsets a load accounts for."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into metadata.load_offsets (load_id, topic_id, partition, start_offset, end_offset) "
            "values (%s, %s, %s, %s, %s)",
            [
                (load_id, load.topic_id, partition, begin, load.end[partition])
                for partition, begin in load.start.items()
            ],
        )


def write_lost(
    connection: psycopg.Connection[Any],
    workspace: duckdb.DuckDBPyConnection,
    load_id: int,
    load: LoadRange,
    before: Mapping[int, int],
) -> None:
    """Write the losses that an operator accepted, without those of their offsets that are dead letters after all.

    A lake that is read again tells of a loss again: what lies before the loaded ends (before) is in the books already.
    """
    for told in load.lost:
        lost = replace(told, begin=max(told.begin, before.get(told.partition, 0)))
        if lost.begin >= lost.behind:
            continue
        offsets = lost.behind - lost.begin - dead_letters_among(workspace, load, lost)
        connection.execute(
            "insert into metadata.lost_offsets "
            "(load_id, topic_id, partition, start_offset, end_offset, offsets, reason) "
            "values (%s, %s, %s, %s, %s, %s, %s)",
            [load_id, load.topic_id, lost.partition, lost.begin, lost.behind, offsets, lost.reason],
        )
