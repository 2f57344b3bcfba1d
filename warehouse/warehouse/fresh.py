# ruff: noqa: S608  (column names come from the contract)
"""The fresh path: events whose keys nobody seems to have go straight into silver, in a savepoint."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
import psycopg

from contracts.model import Entity
from contracts.rules import judged_sql
from warehouse.columns import event_columns, quoted
from warehouse.copy import copy_rows
from warehouse.read import find_broken
from warehouse.stage import load_staged
from warehouse.statuses import Pairs, find_pairs


class _NotFreshError(Exception):
    """A new row does not fit the other rows of its key."""


def _clashes(entity: Entity) -> str:
    """Return the condition of events that only the stage can judge; what was redriven may have arrived before."""
    return f"(redrive_of is not null or coalesce({entity.key} in (select {entity.key} from clashes), false))"


def set_clashes_aside(workspace: duckdb.DuckDBPyConnection, entity: Entity) -> int:
    """Part the events in two views: clashing has the keys that clash within the load, fresh all other events.

    A key's rows always stay together, and keys do not look at each other: the two parts can take different paths.

    Returns:
        the number of events in clashing.
    """
    key, clashes = entity.key, _clashes(entity)
    workspace.execute(f"""
        create temporary table clashes as
        select {key} from delivered group by {key}, status <> '{entity.statuses.first}' having count(*) > 1
        union
        select {key} from delivered where redrive_of is not null
    """)
    workspace.execute(f"create temporary view clashing as {judged_sql(entity, clashes)}")
    workspace.execute(f"create temporary view fresh as select * from events where not {clashes}")
    return int(workspace.execute(f"select count(*) from delivered where {clashes}").fetchall()[0][0])


def load_fresh(
    connection: psycopg.Connection[Any],
    workspace: duckdb.DuckDBPyConnection,
    load_id: int,
    entity: Entity,
) -> Pairs | None:
    """Copy the workspace's fresh events into silver; return None, with nothing done, when a row does not fit.

    Call it inside the load's transaction.
    """
    columns = event_columns(entity)
    selected = f"{quoted(columns)}, cast({load_id} as bigint) as load_id"
    try:
        with connection.transaction():
            passing = f"select {selected} from fresh where reasons = ''"
            rows = copy_rows(connection, entity.silver, (*columns, "load_id"), workspace, passing)
            # While the database looks rows up, DuckDB has nothing to do.
            with ThreadPoolExecutor(max_workers=1) as pool:
                judged = pool.submit(find_broken, workspace)
                pairs = find_pairs(connection, entity, load_id, rows)
                judged.result()
            if pairs.breaks_identity:
                raise _NotFreshError
            broken = f"select {selected}, string_split(reasons, ',') from broken where not {_clashes(entity)}"
            copy_rows(connection, entity.rejected, (*columns, "load_id", "reasons"), workspace, broken)
    except (psycopg.errors.UniqueViolation, _NotFreshError):
        return None
    return pairs


def load_events(
    connection: psycopg.Connection[Any],
    workspace: duckdb.DuckDBPyConnection,
    entity: Entity,
    load_id: int,
    *,
    reread: bool,
    try_fresh: bool = True,
) -> tuple[str, Pairs]:
    """Add each of the workspace's events to its book in silver; return the path, FRESH or STAGE, and the pairs.

    Call it inside the load's transaction. Behind STAGE the temporary tables of the stage path are there.

    Args:
        connection: to PostgreSQL.
        workspace: DuckDB with delivered and events.
        entity: for the columns.
        load_id: the load.
        reread: some of the offsets were loaded before.
        try_fresh: False sends every event through the stage path; the result is the same.
    """
    earlier = None
    if try_fresh and not reread:
        clashing = set_clashes_aside(workspace, entity)
        earlier = load_fresh(connection, workspace, load_id, entity)
        if earlier is not None and not clashing:
            return "FRESH", earlier
    source = "events" if earlier is None else "clashing"
    rows = load_staged(connection, workspace, load_id, entity, source=source, reread=reread)
    if earlier is None:
        return "STAGE", find_pairs(connection, entity, load_id, rows)
    return "STAGE", earlier + find_pairs(connection, entity, load_id, rows, staged=True)
