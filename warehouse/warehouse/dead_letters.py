# ruff: noqa: S608  (column names are our own)
"""The catalogue of dead letters: coordinates and reasons; the bytes stay in the lake."""

from typing import Any

import duckdb
import psycopg

from warehouse.columns import DEAD_LETTER, quoted
from warehouse.copy import copy_rows


def load_dead_letters(connection: psycopg.Connection[Any], workspace: duckdb.DuckDBPyConnection, load_id: int) -> None:
    """Add the workspace's dead letters to the catalogue; those that are in it stay as they are."""
    columns = quoted(DEAD_LETTER)
    connection.execute(f"""
        create temporary table stage_dead on commit drop as select {columns} from raw.dead_letters limit 0
    """)
    copy_rows(connection, "stage_dead", DEAD_LETTER, workspace, f"select {columns} from dead")
    connection.execute(
        f"""
        insert into raw.dead_letters ({columns}, load_id)
        select {columns}, %s from stage_dead on conflict do nothing
        """,
        [load_id],
    )
