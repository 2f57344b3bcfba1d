# ruff: noqa: S608  (column names come from the contract)
"""The fresh path: events whose keys nobody seems to have go straight into silver, in a savepoint."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
import psycopg

from contracts.model import Contract
from contracts.rules import judged_sql
from warehouse.columns import quoted, transaction_columns
from warehouse.copy import copy_rows
from warehouse.read import find_broken
from warehouse.stage import load_staged
from warehouse.statuses import Pairs, find_pairs

# What was redriven may have arrived before: only the stage looks for that.
CLASHES = "(redrive_of is not null or coalesce(transaction_id in (select transaction_id from clashes), false))"


class _NotFreshError(Exception):
    """A new row does not fit the other rows of its transaction."""


def set_clashes_aside(workspace: duckdb.DuckDBPyConnection, contract: Contract) -> int:
    """Part the events in two views: clashing has the transactions that clash within the load, fresh all other events.

    A transaction's rows always stay together, and transactions do not look at each other: the two parts can take
    different paths.

    Returns:
        the number of events in clashing.
    """
    workspace.execute("""
        create temporary table clashes as
        select transaction_id from delivered group by transaction_id, status <> 'PENDING' having count(*) > 1
        union
        select transaction_id from delivered where redrive_of is not null
    """)
    workspace.execute(f"create temporary view clashing as {judged_sql(contract, CLASHES)}")
    workspace.execute(f"create temporary view fresh as select * from events where not {CLASHES}")
    return int(workspace.execute(f"select count(*) from delivered where {CLASHES}").fetchall()[0][0])


def load_fresh(
    connection: psycopg.Connection[Any],
    workspace: duckdb.DuckDBPyConnection,
    load_id: int,
    contract: Contract,
) -> Pairs | None:
    """Copy the workspace's fresh events into silver; return None, with nothing done, when a row does not fit.

    Call it inside the load's transaction.
    """
    columns = transaction_columns(contract)
    selected = f"{quoted(columns)}, cast({load_id} as bigint) as load_id"
    try:
        with connection.transaction():
            passing = f"select {selected} from fresh where reasons = ''"
            rows = copy_rows(connection, "raw.transactions", (*columns, "load_id"), workspace, passing)
            # While the database looks rows up, DuckDB has nothing to do.
            with ThreadPoolExecutor(max_workers=1) as pool:
                judged = pool.submit(find_broken, workspace)
                pairs = find_pairs(connection, load_id, rows)
                judged.result()
            if pairs.breaks_identity:
                raise _NotFreshError
            broken = f"select {selected}, string_split(reasons, ',') from broken where not {CLASHES}"
            copy_rows(connection, "raw.rejected_transactions", (*columns, "load_id", "reasons"), workspace, broken)
    except (psycopg.errors.UniqueViolation, _NotFreshError):
        return None
    return pairs


def load_events(
    connection: psycopg.Connection[Any],
    workspace: duckdb.DuckDBPyConnection,
    contract: Contract,
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
        contract: for the columns.
        load_id: the load.
        reread: some of the offsets were loaded before.
        try_fresh: False sends every event through the stage path; the result is the same.
    """
    earlier = None
    if try_fresh and not reread:
        clashing = set_clashes_aside(workspace, contract)
        earlier = load_fresh(connection, workspace, load_id, contract)
        if earlier is not None and not clashing:
            return "FRESH", earlier
    source = "events" if earlier is None else "clashing"
    rows = load_staged(connection, workspace, load_id, contract, source=source, reread=reread)
    if earlier is None:
        return "STAGE", find_pairs(connection, load_id, rows)
    return "STAGE", earlier + find_pairs(connection, load_id, rows, staged=True)
