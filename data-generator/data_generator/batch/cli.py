"""`tieout batch generate` and `batch list`; `batch run` is the platform's."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer

from core.errors import OptionError
from core.layout import find_layout
from core.text import shown

batch_app = typer.Typer(no_args_is_help=True, help="Daily batches: one file of payments a day, below data/raw/.")

Day = Annotated[
    str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Default: yesterday in UTC.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON, on stdout.")]


def day_of(text: str | None) -> date:
    """Return the day that an option names; yesterday in UTC without one.

    Raises:
        OptionError: it is no day.
    """
    if text is None:
        return datetime.now(UTC).date() - timedelta(days=1)
    try:
        if len(text) != len("2026-11-30"):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise OptionError(f"{shown(text)} is no day.", "nothing was done.", "--date YYYY-MM-DD") from None


@batch_app.command()
def generate(
    day: Day = None,
    rows: Annotated[int, typer.Option(metavar="N", help="Payments of the day.")] = 500,
    seed: Annotated[int, typer.Option(metavar="N", help="Another one makes other payments.")] = 0,
    as_json: Json = False,
) -> None:
    """Make the batch of a day, always the same one, with the customers, channels and cities that it names.

    Example: ./scripts/tieout batch generate --date 2026-11-30
    """
    from data_generator.batch.files import BatchFiles
    from data_generator.batch.generate import generate as make

    files, when = BatchFiles(find_layout()), day_of(day)
    written = make(files, when, rows, seed)
    if as_json:
        typer.echo(json.dumps({"date": str(when), "written": [str(file) for file in written]}))
        return
    for file in written:
        typer.echo(f"written  {shown(file)}")
    if not written:
        typer.echo(f"unchanged: {shown(files.transactions(when))} is there already with the same payments")


@batch_app.command("list")
def list_days(as_json: Json = False) -> None:
    """Name the days that have a batch, and those since the first that have none.

    Example: ./scripts/tieout batch list
    """
    from data_generator.batch.files import BatchFiles

    files = BatchFiles(find_layout())
    there, missing = files.days(), files.missing(day_of(None))
    if as_json:
        typer.echo(json.dumps({"days": [str(day) for day in there], "missing": [str(day) for day in missing]}))
        return
    if not there:
        typer.echo(f"no batch in {shown(files.raw)}. Next: ./scripts/tieout batch generate")
        return
    typer.echo(f"{len(there)} days, {there[0]} to {there[-1]}, in {shown(files.raw)}")
    for day in missing:
        typer.echo(f"missing  {day}")
