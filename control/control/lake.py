"""`tieout lake`: the lake as a whole."""

import json
import os
from typing import Annotated

import typer

from core.layout import find_layout

lake = typer.Typer(no_args_is_help=True, help="Move the lake to another place.")


def mount(app: typer.Typer) -> None:
    """Register `lake`."""
    app.add_typer(lake, name="lake")


@lake.callback()
def _commands() -> None:
    """Move the lake to another place."""


@lake.command()
def move(
    to: Annotated[str, typer.Option(metavar="URL", help="Where to: s3://bucket/prefix, or file: and a folder.")],
    switch: Annotated[bool, typer.Option("--switch", help="Write LAKE_URL into .env once the copy is proven.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be copied.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was copied and proven as JSON.")] = False,
) -> None:
    """Copy the lake, logs last, and prove the copy equal: every byte, count, amount and recorded end.

    The stream must not run. The lake stays where it is, for you to remove once you trust the copy. A copy that was cut
    short goes on with the same command. LAKE_ENDPOINT and the keys in .env are those of the place that it goes to, and
    of the one that it comes from where that is a store too.

    Example: ./scripts/tieout lake move --to s3://payments/lake --switch
    """
    from control.move_lake import move_lake

    os.umask(0o077)  # a copy is private from its first file on

    done = move_lake(find_layout(), to, switch=switch, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps(done))
    else:
        typer.echo("\n".join(f"{table['table']}: {table['words']}" for table in done["tables"]))
        typer.echo(f"Next: {done['next']}")
