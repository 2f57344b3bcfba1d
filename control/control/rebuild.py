"""`tieout rebuild`: what the lake can give, made again from it."""

import json
from typing import Annotated

import typer

from control.progress import say
from core.layout import find_layout

rebuild = typer.Typer(no_args_is_help=True, help="Make silver again from the lake.")


def mount(app: typer.Typer) -> None:
    """Register `rebuild`."""
    app.add_typer(rebuild, name="rebuild")


@rebuild.callback()
def _commands() -> None:
    """Make silver again from the lake."""


@rebuild.command()
def silver(as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False) -> None:
    """Make silver again from the lake, load by load, and prove it equal to the books of the loads.

    Neither a load nor a build may run. Readers see the old rows until the end; a kill leaves them. The books of loads,
    control totals, feeds and decisions about dead letters are kept: the lake does not have them.

    Example: ./scripts/tieout rebuild silver
    """
    from core.settings import load_settings
    from transformation.connection import connect_as_dbt
    from transformation.lock import hold_build_lock
    from warehouse.rebuild import rebuild_silver

    layout = find_layout()
    with connect_as_dbt() as db, hold_build_lock(db):
        done = rebuild_silver(load_settings(layout), layout, lambda line: say(f"  {line}"))
    if as_json:
        typer.echo(json.dumps(done))
        return
    for table, amounts in done["books"].items():
        typer.echo(f"{table}: {sum(count for count, _ in amounts.values()):,} rows")
    older = sum(done["kept"].values())
    kept = f"; {older:,} rows of loads without books were kept" if older else ""
    typer.echo(f"{done['loads']:,} loads and {done['feeds']:,} feeds: equal, to the cent{kept}")
    typer.echo("Next: ./scripts/tieout proof --full")
