"""`tieout build`: the marts from what the loads brought, one build at a time.

The set of loads is fixed before dbt starts. The fact's merge, the note of which loads it holds, and the log of what it
changed are one transaction; each mart behind it applies that log and moves its own watermark in one transaction. So a
build that is killed at any moment is finished by the next one.
"""

import os
import time
import uuid
from typing import TYPE_CHECKING, Any

from control.build_dbt import DbtWorker, Outcome
from control.build_project import project_hash
from control.build_steps import connect_books
from control.say import say
from core.errors import TieoutError
from core.layout import Layout, find_layout

if TYPE_CHECKING:
    from control.build_books import Days, Plan

# Full tests read everything; a build's own read what it changed. Unit tests need no build at all.
NOT_IN_A_BUILD = ("--exclude", "resource_type:unit_test", "tag:full")

_workers: dict[tuple[str, ...], DbtWorker] = {}


def run_build(
    full_refresh: bool = False,
    *,
    days: "Days" = (),
    lookback_days: int | None = None,
    run_id: str | None = None,
    wait_seconds: float = 0,
) -> dict[str, Any]:
    """Bring the marts to what the loads hold, and say what was done.

    Args:
        full_refresh: compute the marts anew from all loads instead of merging the new ones.
        days: business days, first and last of each range: transactions are made equal to silver again, summaries to
            the fact. Dimensions are repaired by a full refresh only.
        lookback_days: the same for so many days before the fact's newest; None: three days, at most once an hour.
        run_id: the orchestrated run that asks.
        wait_seconds: how long to wait for another build that is alive.

    Returns:
        build_id, status (SUCCESS, or UNCHANGED when there was nothing to do), seconds, loads (ids), full_refresh, days,
        models (name and seconds each) and tests (how many passed); event_to_gold (events, p50_seconds, p95_seconds)
        where the build brought events.

    Raises:
        TieoutError: another build runs, the project has changed, or dbt failed; the build's row says FAILED then.
    """
    from control import build_books as books
    from control import build_lock as lock

    layout, build_id = find_layout(), uuid.uuid4()
    worker = _worker(layout)
    wish = books.Wish(full_refresh, tuple(days), lookback_days, run_id)
    with (
        connect_books() as (db, dsn),
        lock.hold_lock(db, dsn, build_id, on_loss=worker.kill, wait_seconds=wait_seconds),
    ):
        begun = time.monotonic()
        books.clear_leftovers(db)
        wanted = project_hash(layout.checkout / "transformation")
        plan = books.open_build(db, build_id, wanted, wish)
        if plan is None:
            say("  marts: nothing new, nothing changed")
            return _report(None, time.monotonic() - begun, ())
        outcome = _run_dbt(db, worker, plan)
        delay = books.delay_of(db, build_id)
    seconds = time.monotonic() - begun
    report = _report(plan, seconds, outcome.nodes)
    if delay is not None:
        report["event_to_gold"] = dict(zip(("events", "p50_seconds", "p95_seconds"), delay, strict=True))
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
        failures = outcome.failures() if not outcome.ok else books.not_built(db, plan.build_id)
        books.close_build(db, plan.build_id, "; ".join(failures)[:2000] or None)
    except BaseException as error:
        worker.close()
        books.close_build(db, plan.build_id, f"{type(error).__name__} while dbt ran")
        raise
    if not failures:
        return outcome
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    raise TieoutError(
        f"the build failed at {failures[0]}{more}",
        f"each mart is as its last good statement left it; the next build goes on. dbt's log: {worker.log}",
        "./scripts/tieout build, once the cause is gone",
    )


def _worker(layout: Layout) -> DbtWorker:
    """Return the warm process of a platform; its connection is the settings' own."""
    connection = dbt_connection(layout)
    key = (str(layout.home), *connection.values())
    if key not in _workers:
        _workers[key] = DbtWorker(layout, os.environ, connection)
    return _workers[key]


def dbt_connection(layout: Layout) -> dict[str, str]:
    """Return what dbt's profile wants to know of the database, by the settings.

    Raises:
        TieoutError: dbt's password is nowhere to be found.
    """
    from core.settings import load_settings

    settings = load_settings(layout)
    settings.dsn("dbt")
    password = settings.postgres_password_dbt
    return {
        "POSTGRES_HOST": settings.postgres_host,
        "POSTGRES_PORT": str(settings.postgres_port),
        "POSTGRES_DB": settings.postgres_db,
        "POSTGRES_PASSWORD_DBT": password.get_secret_value() if password else "",
    }


def _report(plan: "Plan | None", seconds: float, nodes: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {
        "build_id": str(plan.build_id) if plan else None,
        "status": "SUCCESS" if plan else "UNCHANGED",
        "seconds": round(seconds, 3),
        "full_refresh": bool(plan and plan.full_refresh),
        "loads": list(plan.loads) if plan else [],
        "days": [list(span) for span in plan.days] if plan else [],
        "models": [{"name": n["name"], "seconds": n["seconds"]} for n in nodes if n["kind"] == "model"],
        "tests": sum(1 for node in nodes if node["kind"] == "test"),
    }
