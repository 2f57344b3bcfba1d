# ruff: noqa: S608  (column names come from the contract)
"""The fresh path: events whose keys nobody has yet go straight into silver, in a savepoint."""

from typing import Any

import duckdb
import psycopg

from contracts.model import Contract
from warehouse.columns import quoted, transaction_columns
from warehouse.copy import copy_rows


class _NotFreshError(Exception):
    """A new row does not fit the other rows of its transaction."""


def has_unique_keys(workspace: duckdb.DuckDBPyConnection) -> bool:
    """Say whether no key comes twice within the load, so that the fresh path is worth trying.

    The answer decides only about time. The fresh path finds out by itself when it does not fit.
    """
    twice = workspace.execute("""
        select 1 from events where reasons = ''
        group by transaction_id, status <> 'PENDING' having count(*) > 1 limit 1
    """).fetchall()
    return not twice


def load_fresh(
    connection: psycopg.Connection[Any],
    workspace: duckdb.DuckDBPyConnection,
    load_id: int,
    contract: Contract,
) -> bool:
    """Copy the workspace's events into silver; return False, with nothing done, when a row does not fit.

    Call it inside the load's transaction.
    """
    columns = transaction_columns(contract)
    selected = f"{quoted(columns)}, {load_id} as load_id"
    try:
        with connection.transaction():
            passing = f"select {selected} from events where reasons = ''"
            copy_rows(connection, "raw.transactions", (*columns, "load_id"), workspace, passing)
            if _breaks_identity(connection, load_id):
                raise _NotFreshError
            broken = f"select {selected}, '{{' || reasons || '}}' from events where reasons <> ''"
            copy_rows(connection, "raw.rejected_transactions", (*columns, "load_id", "reasons"), workspace, broken)
    except (psycopg.errors.UniqueViolation, _NotFreshError):
        return False
    return True


def _breaks_identity(connection: psycopg.Connection[Any], load_id: int) -> bool:
    """Say whether a new row's amount, customer, time ... differ from those of its transaction's other status."""
    row = connection.execute(
        """
        select exists (
            select from raw.transactions new
            join raw.transactions other using (transaction_id)
            where new.load_id = %s and other.status <> new.status and other.identity_hash <> new.identity_hash
        )
        """,
        [load_id],
    ).fetchone()
    return bool(row and row[0])
