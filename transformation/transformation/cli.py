"""`tieout build` and `tieout docs` as commands."""

import json
import sys
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.layout import find_layout

if TYPE_CHECKING:
    from transformation.plan import Days

LOCK_WAIT_SECONDS = 600.0
LONGEST_WAIT = 7 * 86_400
LONGEST_LOOKBACK_DAYS = 3_650

From = Annotated[
    str | None, typer.Option("--from", metavar="DATE", help="First business day to compute again, with --to.")
]
To = Annotated[str | None, typer.Option("--to", metavar="DATE", help="Last business day to compute again.")]


def mount(app: typer.Typer) -> None:
    """Register `build` and `docs`."""
    app.command()(build)
    app.command()(docs)


def build(  # noqa: PLR0917  (a command's options are its interface)
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Compute the marts anew from all loads.")
    ] = False,
    lookback_days: Annotated[
        int | None,
        typer.Option(
            "--lookback-days",
            min=0,
            max=LONGEST_LOOKBACK_DAYS,
            help="Compute so many days before the newest again.",
        ),
    ] = None,
    from_day: From = None,
    to_day: To = None,
    run_id: Annotated[str | None, typer.Option("--run-id", metavar="RUN", help="The run that asks.")] = None,
    wait: Annotated[
        float,
        typer.Option("--wait", min=0, max=LONGEST_WAIT, help="Seconds to wait for another build that is at work."),
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
    events: Annotated[
        bool, typer.Option("--events", help="Print a JSON line for each model and test as it ends.")
    ] = False,
) -> None:
    """Build the marts from what the loads brought.

    --from and --to (business days, the day where the payment was made) merge the transactions of those days again from
    silver and compute their summaries again from the fact, beside the new loads, in one build. Dimensions and lifetime
    totals are computed anew by --full-refresh only.

    Example: ./scripts/tieout build --from 2026-03-01 --to 2026-03-31
    """
    from transformation.build import run_build

    days = days_between(from_day, to_day)
    if full_refresh and (days or lookback_days is not None):
        raise typer.BadParameter("computes every day anew; leave the days out", param_hint="--full-refresh")
    report = run_build(
        full_refresh,
        days=days,
        lookback_days=lookback_days,
        run_id=run_id,
        wait_seconds=wait,
        on_node=_print if events else lambda _: None,
    )
    if as_json:
        _print(report)


def _print(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def docs(as_json: Annotated[bool, typer.Option("--json", help="Print where it is as JSON.")] = False) -> None:
    """Write the lineage site: every model, column, test and dashboard, with what each means.

    It holds names and descriptions, and no row.

    Example: ./scripts/tieout docs
    """
    from transformation.docs import write_site

    done = write_site(find_layout())
    typer.echo(json.dumps(done) if as_json else f"{done['page']}  {done['seconds']:.1f} s")


def days_between(first: str | None, last: str | None) -> "Days":
    """Return the range of days that two options name, or none.

    Raises:
        BadParameter: one end only, no dates, or ends the wrong way round.
    """
    if first is None and last is None:
        return ()
    if first is None or last is None:
        raise typer.BadParameter("a range needs both ends", param_hint="--from and --to")
    try:
        span = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        raise typer.BadParameter("give days such as 2026-03-31", param_hint="--from and --to") from None
    if span[0] > span[1]:
        raise typer.BadParameter(f"{first} is after {last}", param_hint="--from and --to")
    return (span,)
