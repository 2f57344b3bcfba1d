"""`tieout reconcile`."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer


def mount(root: typer.Typer) -> None:
    """Register the command on the root application."""
    root.command()(reconcile)


def reconcile(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or csv.gz of a bank or gateway.")],
    *,
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="OURS=THEIRS",
            help="Columns of other names: transaction_id=ref,amount=amt; currency==USD: all lines have it; "
            "credit=cr,debit=dr in place of amount.",
            show_default=False,
        ),
    ] = None,
    statuses: Annotated[
        list[str] | None,
        typer.Option("--status", metavar="THEIRS=OURS", help="SETTLED=SUCCESS,DECLINED=FAILED", show_default=False),
    ] = None,
    from_day: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            formats=["%Y-%m-%d"],
            metavar="DAY",
            help="Our transactions from this day to --to must be in the file. Default: the file's own days.",
            show_default=False,
        ),
    ] = None,
    to_day: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], metavar="DAY", show_default=False)
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(metavar="C", help="Default: the one that the header shows.", show_default=False)
    ] = None,
    decimal: Annotated[
        str | None,
        typer.Option(metavar=".|,", help="What stands before an amount's fraction. Default: .", show_default=False),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="SIGN",
            help="What sets thousands apart: point, comma, blank, apostrophe or none.",
            show_default=False,
        ),
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE",
            help="In which the file's days are cut: UTC, Europe/Berlin, +05:30. Default: each customer's own.",
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE", help="Only these rows are payments; the others are left out.", show_default=False
        ),
    ] = None,
    date_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="Such as %d/%m/%Y. Default: ISO 8601.", show_default=False)
    ] = None,
    encoding: Annotated[str, typer.Option(help="Of the text.")] = "utf-8",
    skip_lines: Annotated[int, typer.Option(min=0, metavar="N", help="Lines before the header.")] = 0,
    ignore_dates: Annotated[bool, typer.Option("--ignore-dates", help="Booking days: no difference by day.")] = False,
    require_footer: Annotated[bool, typer.Option("--require-footer", help="Refuse a file without footer.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The differences as CSV. Default: in data/reconciliation.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")] = False,
) -> None:
    """Compare an outside statement with silver and the marts; exit 1 on a difference.

    Example: ./scripts/tieout reconcile data/batch_files/gateway-2026-11-21.csv
    """
    from warehouse.reconcile import reconcile as compare
    from warehouse.reconcile import show_reconciliation
    from warehouse.reconcile.dialect import make_dialect
    from warehouse.reconcile.errors import MisuseError

    try:
        signs: dict[str, Any] = {"group": group, "date_format": date_format, "encoding": encoding}
        signs |= {"zone": zone, "where": where or [], "skip_lines": skip_lines}
        dialect = make_dialect(maps or [], statuses or [], delimiter, decimal, **signs)
        if (from_day is None) != (to_day is None):
            raise MisuseError("--from and --to go together")
        days = (from_day.date(), to_day.date()) if from_day and to_day else None
        result = compare(file, dialect, days=days, dates=not ignore_dates, require_footer=require_footer, out=out)
    except MisuseError as error:
        raise typer.BadParameter(str(error)) from None
    if as_json:
        typer.echo(json.dumps(result))
    else:
        show_reconciliation(result)
    raise typer.Exit(0 if result["ok"] else 1)
