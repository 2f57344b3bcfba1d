"""Run the equations on one snapshot of the warehouse, and write down what they gave."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import duckdb
import psycopg
from psycopg.types.json import Jsonb

from contracts.layout import Layout, find_layout
from contracts.model import load_contract
from warehouse.delta_log import newest_record
from warehouse.errors import DatabaseAwayError
from warehouse.proof.books import loads_by_totals, not_loaded, offsets_by_totals
from warehouse.proof.equation import DIFFERENT, OPEN, Equation
from warehouse.proof.lake import loads_in_lake, offsets_in_lake, read_lake
from warehouse.proof.marts import prove_marts
from warehouse.read import LakeMismatchError, open_workspace
from warehouse.settings import WarehouseSettings, read_settings
from warehouse.watermark import BRONZE, read_watermark


def run_proof(
    full: bool = False,
    strict: bool = False,
    *,
    run_id: str | None = None,
    settings: WarehouseSettings | None = None,
    layout: Layout | None = None,
) -> dict[str, Any]:
    """Prove E1 to E4 and write the result to metadata.proof.

    It runs as role dbt, which reads raw, metadata and its own marts, and may add rows to metadata.proof.

    Args:
        full: recompute E1 and E2 from the lake's files and silver's rows instead of the loads' totals.
        strict: an OPEN equation is not fine either.
        run_id: the run that asks for it, kept with what was found.
        settings: the warehouse's; read from the home when not given.
        layout: where the lake is.

    Returns:
        what `tieout proof --json` prints.

    Raises:
        TieoutError: the database is away, or the lake cannot be read.
    """
    layout = layout or find_layout()
    settings = settings or read_settings(layout)
    checked_at = datetime.now(UTC)
    try:
        with psycopg.connect(settings.dsn("dbt")) as connection:
            # One snapshot for all equations; the lake is read behind it, and so never older than it.
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            equations = list(_equations(connection, settings, layout, full))
            _write(connection, checked_at, equations, run_id)
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, "nothing was proven or written.") from None
    bad = {DIFFERENT, OPEN} if strict else {DIFFERENT}
    return {
        "ok": not any(equation.verdict in bad for equation in equations),
        "checked_at": checked_at.isoformat(),
        "equations": [equation.as_json() for equation in equations],
    }


def _equations(
    connection: psycopg.Connection[Any], settings: WarehouseSettings, layout: Layout, full: bool
) -> Iterable[Equation]:
    watermark = read_watermark(connection, BRONZE)
    # Before the files: what a running stream commits from here on is in them, but is not asked for.
    topic_id, ends = newest_record(layout.bronze)
    if full:
        with open_workspace(layout.state / "load", settings.loader_memory) as workspace:
            try:
                read_lake(workspace, layout)
            except duckdb.Error as error:
                raise LakeMismatchError(f"the lake cannot be read: {str(error).splitlines()[0]}") from None
            yield from offsets_in_lake(connection, workspace, topic_id, ends)
            yield from loads_in_lake(connection, workspace, load_contract())
    else:
        yield from offsets_by_totals(connection)
        yield from loads_by_totals(connection)
    yield from not_loaded(ends, watermark.ends if watermark and watermark.topic_id == topic_id else {})
    yield from prove_marts(connection)


def _write(
    connection: psycopg.Connection[Any], checked_at: datetime, equations: list[Equation], run_id: str | None
) -> None:
    proof_id = uuid4()
    rows = [
        (
            *(proof_id, checked_at, e.name, Jsonb(dict(e.scope)), e.currency),
            *(e.left.count, e.left.amount, e.right.count, e.right.amount, e.verdict, run_id),
        )
        for e in equations
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into metadata.proof (proof_id, checked_at, equation, scope, currency, left_count, left_amount,"
            " right_count, right_amount, verdict, run_id) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )
