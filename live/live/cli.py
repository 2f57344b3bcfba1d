"""`tieout live` and `tieout alert`."""

import json
import sys
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]


def mount(root: typer.Typer) -> None:
    """Register the live view's commands on the root application."""
    root.command()(live)


def live(
    *,
    check: Annotated[bool, typer.Option("--check", help="Only compare the totals with gold, and print it.")] = False,
    once: Annotated[bool, typer.Option("--once", help="End when what the topic holds now is counted.")] = False,
    restart_from_gold: Annotated[
        bool, typer.Option("--restart-from-gold", help="Forget the totals and begin anew with gold's.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Count events from Kafka as they arrive, for the live page; endless, as the service does.

    With --check exit 1 when totals and gold differ.

    Example: ./scripts/tieout live --check
    """
    if check:
        _check(as_json)
        return
    from live.serve import serve

    counted = serve(once=once, restart_from_gold=restart_from_gold, say=_say)
    if once:
        typer.echo(json.dumps({"events": counted}) if as_json else f"{counted} events counted")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _check(as_json: bool) -> None:
    from live.show import as_text, check_now, to_json

    found = check_now()
    typer.echo(json.dumps(to_json(found)) if as_json else as_text(found))
    if found.verdict == "DIFFERENT":
        raise typer.Exit(1)
