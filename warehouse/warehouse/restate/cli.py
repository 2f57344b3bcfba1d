"""`tieout restate` and `tieout pending`."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from core.spans import parse_span

MOST = 2**31 - 1
# Two clocks differ a little.
_SKEW = timedelta(minutes=1)


def mount(root: typer.Typer) -> None:
    """Register the commands on the root application."""
    root.command()(restate)
    root.command()(pending)


Json = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]


def restate(
    as_of: Annotated[str, typer.Option("--as-of", metavar="T", help="With a zone: 2026-11-20T18:00:00+05:30.")],
    vs: Annotated[
        str | None,
        typer.Option("--vs", metavar="T2", help="Compare with this moment, not with now.", show_default=False),
    ] = None,
    *,
    transactions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every transaction behind it as CSV (mode 600).", show_default=False),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="The figures as CSV, on stdout.")] = False,
    as_json: Json = False,
) -> None:
    """Show what the daily summary said at T, what it says now, and the transactions that changed it.

    Per day, currency and category. What it said at T is what the last build that finished by T had made.

    Example: ./scripts/tieout restate --as-of 2026-11-20T18:00:00Z
    """
    from warehouse.restate import restate as compare
    from warehouse.restate import show_restatement

    first, second = _moment(as_of, "--as-of"), None if vs is None else _moment(vs, "--vs")
    if second is not None and second < first:
        raise typer.BadParameter("lies before --as-of", param_hint="--vs")
    result = compare(first, second, transactions=transactions)
    if as_json:
        typer.echo(json.dumps(result))
    elif csv:
        _print_csv(result["rows"])
    else:
        show_restatement(result)


def _moment(text: str, option: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not ISO 8601", param_hint=option) from None
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no zone, such as Z or +05:30", param_hint=option)
    if moment > datetime.now(UTC) + _SKEW:
        raise typer.BadParameter(f"{text!r} lies in the future: nothing is known of it yet", param_hint=option)
    return moment


def _print_csv(rows: list[dict[str, Any]]) -> None:
    import sys

    from core.csv_text import CsvWriter
    from warehouse.restate.states import MEASURES

    sides = ("then", "now", "difference")
    writer = CsvWriter(sys.stdout)
    names = ("occurred_on", "currency", "merchant_category", "restated")
    writer.writerow([*names, *(f"{name}_{side}" for name in MEASURES for side in sides)])
    for row in rows:
        writer.writerow([*(row[name] for name in names), *(row[side][name] for name in MEASURES for side in sides)])


def pending(
    older_than: Annotated[str, typer.Option("--older-than", metavar="AGE", help="Such as 3d, 12h.")] = "3d",
    limit: Annotated[int, typer.Option(min=0, max=MOST, metavar="N", help="List so many, oldest first.")] = 1_000,
    as_json: Json = False,
) -> None:
    """List payments that are PENDING beyond their window, with amounts by currency.

    Ages are counted from the data's newest status, so that replayed history is judged by its own time.

    Example: ./scripts/tieout pending --older-than 3d
    """
    from warehouse.restate import list_pending, show_pending

    try:
        parse_span(older_than)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--older-than") from None
    result = list_pending(older_than, limit)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        show_pending(result)
