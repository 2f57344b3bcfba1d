"""`tieout backfill`: days or offsets of the lake, read again into silver and computed again in the marts."""

import json
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any

import typer

from contracts.entities import entity_names, is_no_entity, load_entity
from contracts.model import PAYMENTS, Entity
from control.progress import say
from core.layout import find_layout
from core.spans import OFFSETS
from transformation.cli import LOCK_WAIT_SECONDS, From, To, days_between


def mount(app: typer.Typer) -> None:
    """Register `backfill`."""
    app.command()(backfill)


def backfill(
    from_day: From = None,
    to_day: To = None,
    *,
    offsets: Annotated[
        str | None,
        typer.Option(metavar="P:FROM-TO[,...]", help="Offsets of partitions instead of days; TO is included."),
    ] = None,
    entity: Annotated[str, typer.Option(metavar="NAME", help="Whose events are read again.")] = PAYMENTS,
    run_id: Annotated[str | None, typer.Option("--run-id", metavar="RUN", help="The run that asks.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Read a range of the lake again into silver, and compute its days again in the marts.

    Safe to repeat: what silver has is counted as already loaded. A line a day; a backfill that was cut short leaves
    out the days that it did within the last 24 hours. What no load has taken yet is left to `tieout load`.

    Example: ./scripts/tieout backfill --from 2026-03-01 --to 2026-03-31
    """
    days, spans = days_between(from_day, to_day), _spans(offsets)
    if bool(days) == bool(spans):
        raise typer.BadParameter("give --from and --to, or --offsets", param_hint="backfill")
    if entity not in entity_names():
        raise typer.BadParameter(is_no_entity(entity), param_hint="--entity")
    first, last = days[0] if days else (None, None)
    report = run_backfill(first, last, spans, run_id, load_entity(entity))
    typer.echo(json.dumps(report) if as_json else f"backfill {report['backfill_id']}: {len(report['days'])} days done")


def _spans(text: str | None) -> dict[int, tuple[int, int]]:
    found = {}
    for part in () if text is None else text.split(","):
        match = OFFSETS.fullmatch(part.strip())
        if match is None or int(match[2]) > int(match[3]) or int(match[1]) in found:
            raise typer.BadParameter(f"{part} is not P:FROM-TO, such as 3:100-250", param_hint="--offsets")
        found[int(match[1])] = (int(match[2]), int(match[3]) + 1)
    return found


def run_backfill(
    first: date | None,
    last: date | None,
    offsets: dict[int, tuple[int, int]],
    run_id: str | None = None,
    entity: Entity | None = None,
) -> dict[str, Any]:
    """Read the range again, day by day, and build its days.

    Args:
        first: first business day; None with offsets.
        last: last business day.
        offsets: first offset and the one behind the last, by partition; empty with days.
        run_id: the orchestrated run that asks.
        entity: whose events are read again; the payments without it.

    Returns:
        backfill_id, entity, request, days (day, counts by book, and whether it was done before), build (as `tieout
        build`).

    Raises:
        TieoutError: database or lake is away, or the build failed. Days that were done stay done.
    """
    from core.settings import load_settings
    from transformation.build import run_build
    from warehouse.backfill import open_backfill

    layout = find_layout()
    entity = entity or load_entity(PAYMENTS)
    asked: dict[str, Any] = {"from": str(first), "to": str(last)} if first else {"offsets": sorted(offsets.items())}
    # A request of before names no entity, and is resumed by its text.
    request = json.dumps(asked if entity.name == PAYMENTS else {"entity": entity.name, **asked})
    done: list[dict[str, Any]] = []
    with open_backfill(load_settings(layout), layout, entity, run_id) as work:
        work.check(offsets)
        backfill_id, before = work.open(request)
        for day in work.days(first, last, offsets):
            found = before.get(day) or work.read_day(backfill_id, day, offsets)
            done.append({"day": day.isoformat(), **found, "before": day in before})
            say(_line(done[-1]))
        days = tuple(_ranges(date.fromisoformat(entry["day"]) for entry in done))
        build = run_build(days=days, run_id=run_id, wait_seconds=LOCK_WAIT_SECONDS) if days else None
        work.close(backfill_id, build["build_id"] if build else None)
    return {"backfill_id": backfill_id, "entity": entity.name, "request": request, "days": done, "build": build}


def _line(entry: dict[str, Any]) -> str:
    if entry["before"]:
        return f"  {entry['day']}  done before"
    return (
        f"  {entry['day']}  {entry['rows_read']:,} read: {entry['already_loaded']:,} already loaded, "
        f"{entry['rows_loaded']:,} restored, {entry['duplicates']:,} duplicates, {entry['rejected']:,} rejected"
    )


def _ranges(days: Iterable[date]) -> Iterable[tuple[date, date]]:
    begin = end = None
    for day in days:
        if begin is None or end is None or day.toordinal() != end.toordinal() + 1:
            if begin is not None and end is not None:
                yield begin, end
            begin = day
        end = day
    if begin is not None and end is not None:
        yield begin, end
