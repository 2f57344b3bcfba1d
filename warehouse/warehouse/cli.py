"""`tieout load`, `tieout proof` and `tieout migrate`."""

import json
from typing import Annotated

import typer

from core.errors import TieoutError

RunId = Annotated[str | None, typer.Option("--run-id", metavar="RUN", help="The run that asks, kept in the books.")]


def mount(root: typer.Typer) -> None:
    """Register the warehouse's commands on the root application."""
    root.command()(load)
    root.command()(proof)
    root.command(hidden=True)(migrate)


def load(
    run_id: RunId = None,
    accept_table: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Go on with a table of the lake that was made anew; read it from its begin."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it goes to the books with what is accepted.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the loads as JSON.")] = False,
) -> None:
    """Load what the lake holds beyond the watermark into silver.

    Each load is one database transaction of whole lake commits, up to MAX_ROWS_PER_LOAD rows.

    Example: ./scripts/tieout load --json
    """
    from warehouse.accept import accept_table as accept
    from warehouse.load import run_loads

    if accept_table is not None:
        if not accept_table.strip():
            raise typer.BadParameter("it is empty; name the table", param_hint="--accept-table")
        if not reason.strip():
            raise typer.BadParameter("say why: it goes to the books", param_hint="--reason")
        accept(accept_table, reason)
    error = None
    try:
        loads = run_loads(run_id=run_id)
    except TieoutError as failed:
        if failed.done is None:
            raise
        loads, error = failed.done, failed
    if as_json:
        typer.echo(json.dumps({"loads": loads, **({"failed": _said(error)} if error else {})}))
    elif not loads and error is None:
        typer.echo("nothing to load")
    if error:
        raise error


def _said(error: TieoutError) -> dict[str, str]:
    """Return what failed, by entity."""
    return {name: each.what for name, each in error.failed.items()}


def proof(
    *,
    full: Annotated[bool, typer.Option("--full", help="Recompute from the lake's files up.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Read Kafka again, with the other client.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Name offsets and payments of a difference.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 also when an equation is OPEN.")] = False,
    run_id: RunId = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the equations as JSON.")] = False,
) -> None:
    """Show that every hop ties out: E0 to E4, by feed, partition, load, currency and status.

    Exit 1 when an equation is DIFFERENT; with --strict also when one is OPEN.

    Example: ./scripts/tieout proof --full --explain
    """
    from warehouse.proof import run_proof, show_proof

    error = None
    try:
        result = run_proof(full=full, strict=strict, deep=deep, explain=explain, run_id=run_id)
    except TieoutError as failed:
        if failed.done is None:
            raise
        result, error = failed.done, failed
    if as_json:
        typer.echo(json.dumps(result))
    else:
        show_proof(result)
    if error:
        raise error
    raise typer.Exit(0 if result["ok"] else 1)


def migrate() -> None:
    """Bring the warehouse's schema to the newest version.

    Example: ./scripts/tieout migrate
    """
    from core.settings import load_settings
    from warehouse import migrate as migrations

    settings = load_settings()
    migrations.migrate(settings.dsn("owner"))
    migrations.let_reader_read_marts(settings.dsn("dbt"))
    typer.echo("the warehouse has the newest schema")
