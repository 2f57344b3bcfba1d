"""`tieout build`: the marts from what the loads brought, one build at a time.

The set of loads is fixed before dbt starts. The fact's merge, the note of which loads it holds, and the log of what it
changed are one transaction; each mart behind it applies that log and moves its own watermark in one transaction. So a
build that is killed at any moment is finished by the next one.
"""

import json
import os
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

from contracts.errors import TieoutError
from contracts.layout import Layout, find_layout
from control.build_dbt import DbtWorker, Outcome
from control.build_project import project_hash
from control.say import say

if TYPE_CHECKING:
    import typer

    from control.build_books import Plan

# Full tests read everything; a build's own read what it changed. Unit tests need no build at all.
NOT_IN_A_BUILD = ("--exclude", "resource_type:unit_test", "tag:full")

_workers: dict[tuple[str, ...], DbtWorker] = {}


def run_build(full_refresh: bool = False) -> dict[str, Any]:
    """Bring the marts to what the loads hold, and say what was done.

    Args:
        full_refresh: compute the marts anew from all loads instead of merging the new ones.

    Returns:
        build_id, status (SUCCESS, or UNCHANGED when there was nothing to do), seconds, loads (ids), full_refresh,
        models (name and seconds each) and tests (how many passed).

    Raises:
        TieoutError: another build runs, the project has changed, or dbt failed; the build's row says FAILED then.
    """
    import psycopg

    from control import build_books as books
    from warehouse.settings import read_settings

    begun = time.monotonic()
    layout, build_id = find_layout(), uuid.uuid4()
    dsn = read_settings(layout).dsn("dbt")
    worker = _worker(layout)
    try:
        with (
            psycopg.connect(dsn, autocommit=True, application_name="tieout build books") as db,
            books.hold_lock(db, dsn, build_id, on_loss=worker.kill),
        ):
            books.clear_leftovers(db)
            wanted = project_hash(layout.checkout / "transformation")
            plan = books.open_build(db, build_id, wanted, full_refresh)
            if plan is None:
                say("  marts: nothing new, nothing changed")
                return _report(None, time.monotonic() - begun, ())
            outcome = _run_dbt(db, worker, plan)
    except psycopg.OperationalError as error:
        raise TieoutError(
            f"the warehouse cannot be reached: {str(error).strip().splitlines()[0]}",
            "what a build had begun is finished by the next one.",
            "./scripts/start.sh where nothing runs; else ./scripts/tieout logs postgres",
        ) from error
    seconds = time.monotonic() - begun
    report = _report(plan, seconds, outcome.nodes)
    say(
        f"  marts: {len(plan.loads)} loads, {len(report['models'])} models, {report['tests']} tests"
        f"{', computed anew' if plan.full_refresh else ''}  {seconds:.1f} s"
    )
    return report


def _run_dbt(db: Any, worker: DbtWorker, plan: "Plan") -> Outcome:
    from control import build_books as books

    args = ["build", *NOT_IN_A_BUILD]
    if plan.full_refresh:
        args.append("--full-refresh")
    else:
        args.append("resource_type:seed")
    try:
        outcome = worker.run(args, str(plan.build_id))
    except BaseException as error:
        worker.close()
        books.close_build(db, plan.build_id, f"{type(error).__name__} while dbt ran")
        raise
    if outcome.ok:
        books.close_build(db, plan.build_id, None)
        return outcome
    failures = outcome.failures()
    books.close_build(db, plan.build_id, "; ".join(failures)[:2000])
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    raise TieoutError(
        f"the build failed at {failures[0]}{more}",
        f"each mart is as its last good statement left it; the next build goes on. dbt's log: {worker.log}",
        "./scripts/tieout build, once the cause is gone",
    )


def _worker(layout: Layout) -> DbtWorker:
    """Return the warm process of a platform; its connection is the settings' own."""
    from warehouse.settings import read_settings

    settings = read_settings(layout)
    settings.dsn("dbt")
    password = settings.postgres_password_dbt
    connection = {
        "POSTGRES_HOST": settings.postgres_host,
        "POSTGRES_PORT": str(settings.postgres_port),
        "POSTGRES_DB": settings.postgres_db,
        "POSTGRES_PASSWORD_DBT": password.get_secret_value() if password else "",
    }
    key = (str(layout.home), *connection.values())
    if key not in _workers:
        _workers[key] = DbtWorker(layout, os.environ, connection)
    return _workers[key]


def _report(plan: "Plan | None", seconds: float, nodes: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {
        "build_id": str(plan.build_id) if plan else None,
        "status": "SUCCESS" if plan else "UNCHANGED",
        "seconds": round(seconds, 3),
        "full_refresh": bool(plan and plan.full_refresh),
        "loads": list(plan.loads) if plan else [],
        "models": [{"name": n["name"], "seconds": n["seconds"]} for n in nodes if n["kind"] == "model"],
        "tests": sum(1 for node in nodes if node["kind"] == "test"),
    }


def mount(app: "typer.Typer") -> None:
    """Register `build`."""
    import typer

    @app.command()
    def build(
        full_refresh: bool = typer.Option(False, "--full-refresh", help="Compute the marts anew from all loads."),
        as_json: bool = typer.Option(False, "--json", help="Print what was done as JSON."),
    ) -> None:
        """Build the marts from what the loads brought. Example: tieout build --json"""
        report = run_build(full_refresh)
        if as_json:
            sys.stdout.write(json.dumps(report) + "\n")
