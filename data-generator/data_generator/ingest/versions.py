"""What the new version of a file lacks of the rows that its earlier versions have brought into the warehouse."""

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from contracts.control_total import Money
from contracts.model import Entity
from data_generator.ingest.errors import GoneRowsError, NotLoadedError

_MOST_RUNS = 1_000


def refuse_gone_rows(
    connection: psycopg.Connection[Any], entity: Entity, name: str, ids: Iterable[str], keep_gone: int
) -> None:
    """Refuse a new version that lacks rows of earlier ones, unless the caller has named how many.

    Args:
        connection: of role ingest.
        entity: what the file's events are.
        name: of the file.
        ids: of all rows of the new version that are sent.
        keep_gone: how many earlier rows may be missing in it; they stay in the books.

    Raises:
        GoneRowsError: another number of rows is missing.
        NotLoadedError: an earlier version is not wholly loaded.
    """
    runs = connection.execute(
        "select f.run, l.finished_load_id is not null from metadata.files f left join metadata.feeds l using (run) "
        "where f.name = %s and f.entity = %s order by f.began_at desc limit %s",
        [name, entity.name, _MOST_RUNS],
    ).fetchall()
    if not all(is_loaded for _, is_loaded in runs):
        raise NotLoadedError(name)
    gone = _gone(connection, entity, [run for run, _ in runs], ids)
    count = sum(money.count for money in gone.values())
    if count != keep_gone:
        listed = ", ".join(f"{money.count} with {money.amount:f} {currency}" for currency, money in gone.items())
        raise GoneRowsError(name, count, listed or "so there is none to keep")


def _gone(connection: psycopg.Connection[Any], entity: Entity, runs: list[str], ids: Iterable[str]) -> dict[str, Money]:
    connection.execute("create temporary table if not exists ids_of_file (id text)")
    connection.execute("truncate ids_of_file")
    with connection.cursor() as cursor, cursor.copy("copy ids_of_file from stdin") as copy:
        for each in ids:
            copy.write_row([each])
    connection.execute("analyze ids_of_file")
    key = sql.Identifier(entity.stored(entity.key))
    tables = [sql.SQL("select run, {} as id, amount, currency from {}").format(key, _table(name))
              for name in (entity.silver, entity.rejected)]  # fmt: skip
    query = sql.SQL(
        "select currency, count(*), sum(amount) from (select distinct on (id) * from ({}) e where run = any(%s) "
        "order by id) e where not exists (select from ids_of_file f where f.id = e.id) group by 1 order by 1"
    ).format(sql.SQL(" union all ").join(tables))
    rows = connection.execute(query, [runs]).fetchall()
    return {currency: Money(count, amount) for currency, count, amount in rows}


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))
