# ruff: noqa: S608  (names come from the contract; values are parameters)
"""What a load found wrong: per rule and currency, and how full the columns are.

RULE rows have a currency, NULL for those outside the contract. NULLS (rule: the column), UNKNOWN_FIELDS, HEADERS (what
a header claims and cannot be) and DEAD_LETTERS (rule: the reason) are about the whole load.
"""

from typing import Any

import duckdb
import psycopg

from contracts.model import Entity
from contracts.rules import event_rules
from warehouse.read import Found, find_broken
from warehouse.totals import currency_sql

_INSERT = """
insert into metadata.data_quality_metrics (load_id, metric, rule, currency, rows_checked, rows_broken, amount_concerned)
"""


def write_quality(
    connection: psycopg.Connection[Any],
    workspace: duckdb.DuckDBPyConnection,
    load_id: int,
    entity: Entity,
    found: Found,
) -> int:
    """Write a load's quality metrics, inside its transaction, after its rows and their new_sums.

    Returns:
        how many events claim a time of their status that cannot be true.
    """
    columns, not_believed = _column_rows(workspace, entity)
    rows = [*_rule_rows(workspace, entity), *columns]
    with connection.cursor() as cursor:
        cursor.executemany(f"{_INSERT} values (%s, %s, %s, %s, %s, %s, %s)", [(load_id, *row) for row in rows])
    _write_warehouse_rules(connection, load_id, entity)
    _write_dead_letters(connection, load_id, found)
    return not_believed


def _rule_rows(workspace: duckdb.DuckDBPyConnection, entity: Entity) -> list[tuple[object, ...]]:
    find_broken(workspace)
    known = currency_sql(entity)
    checked = dict(workspace.execute(f"select {known}, count(*) from events group by 1").fetchall())
    broken = workspace.execute(f"""
        select unnest(string_split(reasons, ',')) as code, {known} as known, count(*),
            case when known is not null then sum(amount) end
        from broken group by 1, 2
    """).fetchall()
    found = {(code, currency): (count, amount) for code, currency, count, amount in broken}
    return [
        ("RULE", code, currency, rows, *found.get((code, currency), (0, None if currency is None else 0)))
        for currency, rows in checked.items()
        for code in event_rules(entity)
    ]


def _column_rows(workspace: duckdb.DuckDBPyConnection, entity: Entity) -> tuple[list[tuple[object, ...]], int]:
    """Return how full the columns are and what headers claim, and how many claimed times are not believed."""
    columns = [field.stored_as for field in entity.fields]
    counts = ", ".join(f"count(*) - count({column})" for column in columns)
    query = f"""
        select {counts}, count(*) filter (unknown_fields > 0), count(claimed_at),
            count(*) filter (claimed_at <> status_at), count(contract_version),
            count(*) filter (contract_version <> '{entity.version}'), count(*)
        from events
    """
    *nulls, unknown, claimed, not_believed, named, of_another, rows = workspace.execute(query).fetchall()[0]
    if not rows:
        return [], 0
    found: list[tuple[object, ...]] = [
        ("NULLS", column, None, rows, count, None) for column, count in zip(columns, nulls, strict=True)
    ]
    found.append(("UNKNOWN_FIELDS", "UNKNOWN_FIELDS", None, rows, unknown, None))
    if claimed:
        found.append(("HEADERS", "STATUS_AT_NOT_BELIEVED", None, claimed, not_believed, None))
    if of_another:
        found.append(("HEADERS", "CONTRACT_NOT_IN_FORCE", None, named, of_another, None))
    return found, int(not_believed)


def _write_warehouse_rules(connection: psycopg.Connection[Any], load_id: int, entity: Entity) -> None:
    """Write duplicates, and the rules that compare with what came before; checked are the rows that reach them."""
    codes = [rule.code for rule in entity.rules if rule.scope == "warehouse"]
    connection.execute(
        f"""
        {_INSERT}
        with reached as (
            select currency, 'NEW' as verdict, count, amount from new_sums
            union all
            select currency, 'EXACT', 1, amount from {entity.duplicates} where load_id = %(load_id)s
            union all
            select currency, reasons[1], 1, amount from {entity.rejected}
            where load_id = %(load_id)s and reasons[1] = any(%(codes)s)
        ),
        verdicts as (select 'EXACT' as verdict union all select unnest(%(codes)s))
        select %(load_id)s, case when v.verdict = 'EXACT' then 'DUPLICATES' else 'RULE' end, v.verdict, r.currency,
            sum(r.count), coalesce(sum(r.count) filter (where r.verdict = v.verdict), 0),
            coalesce(sum(r.amount) filter (where r.verdict = v.verdict), 0)
        from reached r cross join verdicts v group by v.verdict, r.currency
        """,
        {"load_id": load_id, "codes": codes},
    )


def _write_dead_letters(connection: psycopg.Connection[Any], load_id: int, found: Found) -> None:
    connection.execute(
        f"""
        {_INSERT}
        select %(load_id)s, 'DEAD_LETTERS', reason, null, %(checked)s, count(*), null
        from raw.dead_letters, unnest(reasons) as reason where load_id = %(load_id)s group by reason
        """,
        {"load_id": load_id, "checked": found.rows + found.dead_letters},
    )


def prune_quality(connection: psycopg.Connection[Any]) -> None:
    """Sum the metrics of loads older than a week by day; a load a minute writes 170,000 of them a day."""
    connection.execute("select metadata.prune_quality()")
