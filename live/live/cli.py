"""`tieout live` and `tieout alert`."""

import json
import sys
from typing import Annotated

import typer

from core.text import shown_lines

alert = typer.Typer(no_args_is_help=True, help="Alerts: look at them, and have one computed again from silver.")

Json = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]


def mount(root: typer.Typer) -> None:
    """Register the live view's commands on the root application."""
    root.command()(live)
    root.add_typer(alert, name="alert")


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

    With --check exit 0 only when totals and gold are equal, 75 while it still counts, 1 when they differ, when no live
    view is at work, and when it leaves out a partition.

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
    sys.stderr.write(f"{shown_lines(line)}\n")


def _check(as_json: bool) -> None:
    from live.show import as_text, report_now, to_json

    found = report_now()
    typer.echo(json.dumps(to_json(found)) if as_json else as_text(found))
    raise typer.Exit(found.exit_code)


@alert.command("list")
def list_(
    *,
    rule: Annotated[str | None, typer.Option(metavar="CODE", help="Only alerts of this rule.")] = None,
    customer: Annotated[str | None, typer.Option(metavar="ID", help="Only alerts of this customer.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="The most alerts.")] = 20,
    as_json: Json = False,
) -> None:
    """List alerts, the newest first.

    Example: ./scripts/tieout alert list --rule VELOCITY
    """
    from live.alerts.listing import list_alerts, list_as_text

    found = list_alerts(rule, customer, limit)
    typer.echo(json.dumps(found, default=str) if as_json else list_as_text(found))


@alert.command()
def explain(
    alert_id: Annotated[str, typer.Argument(metavar="ID", help="An alert's id, or the begin of it.")],
    as_json: Json = False,
) -> None:
    """Compute an alert again from silver, and say whether it is the same; exit 1 when it is not.

    Example: ./scripts/tieout alert explain 4f1c2a
    """
    from live.alerts import listing
    from live.alerts.explain import explain as compute

    found = compute(alert_id)
    typer.echo(json.dumps(listing.as_json(found)) if as_json else listing.as_text(found))
    if found.verdict == "DIFFERENT":
        raise typer.Exit(1)
