"""`tieout batch run`: a day's file cleaned, sent, and brought into proven marts."""

import json
import time
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from control.progress import say
from core.errors import RefusalError, TieoutError
from data_generator.batch.cli import Day, Json, batch_app, day_of

if TYPE_CHECKING:
    from data_generator.batch.clean import Cleaned
    from data_generator.batch.files import BatchFiles
    from data_generator.ingest.run import Report

TRIES, PAUSE_SECONDS = 3, 2.0

_T = TypeVar("_T")


def mount(app: typer.Typer) -> None:
    """Register `batch`."""
    batch_app.command("run")(run)
    app.add_typer(batch_app, name="batch")


def run(
    ctx: typer.Context,
    *,
    day: Day = None,
    changed: Annotated[bool, typer.Option("--changed", help="Another file for a day that was sent before.")] = False,
    keep_gone: Annotated[
        int, typer.Option("--keep-gone", metavar="N", min=0, help="With --changed: N earlier rows are not in it.")
    ] = 0,
    send_only: Annotated[
        bool, typer.Option("--send-only", help="Leave lake, silver and marts to the pipeline.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the batch of a day through: cleaned, sent once, and in proven marts. Safe to repeat.

    Example: ./scripts/tieout batch run --date 2026-11-30
    """
    from data_generator.batch.files import BatchFiles

    files, when = BatchFiles(ctx.obj.layout), day_of(day)
    cleaned, report = _try_again(lambda: send_day(files, when, changed=changed, keep_gone=keep_gone))
    missing = files.missing(when)
    outcome = None if send_only else _try_again(lambda: _run_round(ctx.obj))
    if as_json:
        typer.echo(json.dumps(_as_json(cleaned, report, missing, outcome)))
        return
    dropped = "".join(f", {count:,} {reason}" for reason, count in sorted(cleaned.dropped.items()))
    typer.echo(f"cleaned  {cleaned.kept:,} of {cleaned.read:,} rows{dropped}; revenue {cleaned.revenue:,f} INR")
    typer.echo(f"sent     {report.outcome}; feed {report.run}")
    for each in missing:
        typer.echo(f"missing  {each}")


def send_day(
    files: "BatchFiles", day: date, *, changed: bool = False, keep_gone: int = 0
) -> tuple["Cleaned", "Report"]:
    """Clean a day's file and send it as a feed of its own, once.

    Raises:
        MissingBatchError: the day has no file.
        TieoutError: it cannot be cleaned or sent.
    """
    from core.settings import load_settings
    from data_generator.batch.clean import clean
    from data_generator.batch.files import mapping_of
    from data_generator.ingest.cli import context_of
    from data_generator.ingest.run import Asked, Report
    from data_generator.ingest.session import Session

    cleaned = clean(files, day)
    mapping = mapping_of(files)
    reports: list[Report] = []
    # What can be no event is a refused row of the file, and in the books as such.
    asked = Asked(max_bad_rows=None, changed=changed, keep_gone=keep_gone)
    Session(load_settings(), mapping, asked, context_of(mapping), reports.append).ingest(
        [str(files.transactions(day))], f"daily batch {day}"
    )
    return cleaned, reports[0]


def _run_round(session: Any) -> dict[str, Any]:
    from control.env import settings_of_this_process
    from control.rounds import run_round

    values = settings_of_this_process(session.layout)
    outcome = run_round(session.layout, values, service_runs=session.stream_is_supervised)
    if outcome.error is not None:
        raise outcome.error
    return outcome.as_json()


def _try_again(work: Callable[[], _T]) -> _T:
    """Return what some work returns; after an error, but no refusal, it has two more tries, two seconds apart."""
    for tried in range(1, TRIES):
        try:
            return work()
        except RefusalError:
            raise  # a person has to decide
        except TieoutError as error:
            say(f"  try {tried} of {TRIES} failed: {error.what}")
            time.sleep(PAUSE_SECONDS)
    return work()


def _as_json(
    cleaned: "Cleaned", report: "Report", missing: list[date], outcome: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "ok": outcome is None or outcome["ok"],
        "date": str(cleaned.day),
        "cleaned": {
            "file": str(cleaned.file),
            "read": cleaned.read,
            "kept": cleaned.kept,
            "dropped": dict(sorted(cleaned.dropped.items())),
            "amount": str(cleaned.amount),
            "revenue": str(cleaned.revenue),
        },
        "sent": report.as_json(),
        "missing": [str(day) for day in missing],
        "run": outcome,
    }
