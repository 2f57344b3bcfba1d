"""`tieout check`: what an orchestrator asks before and after a load."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from core.errors import TieoutError
from core.lake import Lake
from core.layout import Layout, find_layout
from core.settings import Settings, load_settings
from core.spans import parse_span
from core.text import shown, shown_lines

MAX_AGE = Settings.model_fields["bronze_max_age"].default

Json = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]

checks = typer.Typer(no_args_is_help=True, help="Ask whether bronze is fresh, loads were not silent, marts are whole.")


def mount(app: typer.Typer) -> None:
    """Register `check`."""
    app.add_typer(checks, name="check")


def seconds_of(span: str, option: str) -> int:
    """Return the seconds of a span such as 90s, 15m, 26h or 365d.

    Raises:
        BadParameter: it is none.
    """
    try:
        return int(parse_span(span).total_seconds())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


@checks.command()
def bronze(
    max_age: Annotated[
        str | None, typer.Option("--max-age", help=f"How old the newest rows may be: BRONZE_MAX_AGE, else {MAX_AGE}.")
    ] = None,
    catch_up: Annotated[
        bool, typer.Option("--catch-up", help="Where a stream runs, wait first until it has what Kafka has now.")
    ] = False,
    some: Annotated[
        bool,
        typer.Option("--some", help="One entity that is well is enough: what is wrong with another its load will say."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check that bronze has rows and that the newest are young enough; exit 1 when not.

    Example: ./scripts/tieout check bronze --max-age 26h
    """
    from warehouse.freshness import look_at_bronze

    layout = find_layout()
    error = None
    if catch_up:
        error = _wait_for_stream(layout)
    settings = load_settings(layout)
    lake = Lake.of(settings, layout)
    max_age = settings.bronze_max_age if max_age is None else max_age
    limit = seconds_of(max_age, "--max-age")
    try:
        found = look_at_bronze(layout, settings, datetime.now(UTC))
    except TieoutError as failed:
        if not failed.is_partial:
            raise
        found, error = failed.done, failed
    age = found["age_seconds"]
    found["fresh"] = age is not None and age <= limit
    if error:
        found["failed"] = {name: each.what for name, each in error.failed.items()}
    _print(found, as_json, f"{found['rows_waiting']} rows wait for a load; the newest are {age} s old")
    if error and not some:
        raise error
    if error:
        typer.echo(shown_lines(str(error)), err=True)
    if age is None:
        raise TieoutError(
            f"bronze is empty: {lake.bronze} has no rows yet.",
            "nothing was loaded.",
            "./scripts/tieout status (do the producer and the stream run?)",
        )
    if not found["fresh"]:
        raise TieoutError(
            f"bronze is stale: its newest rows came {age / 3600:.1f} h ago; BRONZE_MAX_AGE allows {max_age}.",
            "nothing was loaded.",
            "./scripts/tieout status (do the producer and the stream run?), then ./scripts/tieout logs stream",
        )


def _wait_for_stream(layout: Layout) -> TieoutError | None:
    """Wait for a stream that is at work; return the error of some entities. Without one the age of bronze will tell."""
    from control.catching_up import catch_up, writer_is_at_work
    from control.env import settings_of_this_process

    if not writer_is_at_work(layout):
        return None
    try:
        catch_up(layout, settings_of_this_process(layout), service_runs=True)
    except TieoutError as error:
        if not error.is_partial:
            raise
        return error
    return None


@checks.command()
def loads(
    run_id: Annotated[str, typer.Option("--run-id", metavar="RUN", help="The run whose loads are checked.")],
    as_json: Json = False,
) -> None:
    """Check that a run's loads took what the lake held; exit 1 when one read nothing where there was something.

    Example: ./scripts/tieout check loads --run-id nightly-2026-11-21
    """
    from warehouse.freshness import look_at_loads

    layout = find_layout()
    found = look_at_loads(layout, load_settings(layout), run_id, datetime.now(UTC))
    _print(found, as_json, f"{len(found['loads'])} loads of {shown(run_id)} read {found['rows_read']} rows")
    if found["silent_loads"] or (not found["loads"] and found["rows_left_behind"]):
        which = f"load {found['silent_loads'][0]}" if found["silent_loads"] else f"run {run_id}"
        rows = found["rows_in_range"] if found["silent_loads"] else found["rows_left_behind"]
        raise TieoutError(
            f"a silent load: {which} read nothing, and the lake holds {rows} rows for it.",
            "silver is as the last load left it.",
            "./scripts/tieout proof --full, then ./scripts/tieout load",
        )


@checks.command()
def marts(as_json: Json = False) -> None:
    """Run the tests that read whole marts; exit 1 when one fails. It waits for a build that runs.

    Example: ./scripts/tieout check marts
    """
    from transformation.whole_tests import run_whole_tests

    found = run_whole_tests()
    _print(found, as_json, f"{found['tests']} tests over whole marts passed in {found['seconds']:.0f} s")


def _print(found: dict[str, Any], as_json: bool, words: str) -> None:
    typer.echo(json.dumps(found) if as_json else words)
