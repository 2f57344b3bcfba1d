# ruff: noqa: S608  (column names come from the contract)
"""The fresh path: events whose keys nobody seems to have go straight into silver, in a savepoint."""

from typing import Any

import duckdb
import psycopg

from contracts.model import Contract
from warehouse.columns import quoted, transaction_columns
from warehouse.copy import copy_rows
from warehouse.statuses import Pairs, find_pairs


class _NotFreshError(Exception):
    """A new row does not fit the other rows of its transaction."""


def set_clashes_aside(workspace: duckdb.DuckDBPyConnection) -> int:
    """Part the events in two views: clashing has the transactions that clash within the load, fresh all other events.

    A transaction's rows always stay together, and transactions do not look at each other: the two parts can take
    different paths.

    Returns:
        the number of events in clashing.
    """
    workspace.execute("""
        create table clashes as
        select distinct transaction_id from (
            select transaction_id from events where reasons = ''
            group by transaction_id, status <> 'PENDING' having count(*) > 1
            union all
            select transaction_id from events where reasons = '' and redrive_of is not null
        )
    """)
    # What was redriven may have arrived before: only the stage looks for that.
    clashes = "(redrive_of is not null or (reasons = '' and transaction_id in (select transaction_id from clashes)))"
    workspace.execute(f"create view clashing as select * from events where {clashes}")
    workspace.execute(f"create view fresh as select * from events where not ({clashes})")
    return int(workspace.execute("select count(*) from clashing").fetchall()[0][0])


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
    selected = f"{quoted(columns)}, {load_id} as load_id"
    try:
        with connection.transaction():
            passing = f"select {selected} from fresh where reasons = ''"
            copy_rows(connection, "raw.transactions", (*columns, "load_id"), workspace, passing)
            pairs = find_pairs(connection, load_id)
            if pairs.breaks_identity:
                raise _NotFreshError
            broken = f"select {selected}, '{{' || reasons || '}}' from fresh where reasons <> ''"
            copy_rows(connection, "raw.rejected_transactions", (*columns, "load_id", "reasons"), workspace, broken)
    except (psycopg.errors.UniqueViolation, _NotFreshError):
        return None
    return pairs
