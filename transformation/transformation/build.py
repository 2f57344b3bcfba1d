"""`tieout build`: the marts from what the loads brought, one build at a time.

The set of loads is fixed before dbt starts. The fact's merge, the note of which loads it holds, and the log of what it
changed are one transaction; each mart behind it applies that log and moves its own watermark in one transaction. So a
build that is killed at any moment is finished by the next one.
"""

import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from core.errors import OutageError, TieoutError
from core.layout import Layout, find_layout
from core.log import say
from core.niceness import gives_way
from core.schema_revision import require_revision
from transformation import plan as plans
from transformation import record
from transformation.connection import Connection, connect_as_dbt, dbt_environment
from transformation.dbt_process import DbtProcess
from transformation.hashes import model_hashes, project_hash
from transformation.lock import clear_leftovers, hold_build_lock
from transformation.messages import Node, Outcome, is_outage
from transformation.plan import BuildRequest, Days, Plan

# Full tests read everything; a build's own read what it changed. Unit tests need no build at all.
NOT_IN_A_BUILD = ("--exclude", "resource_type:unit_test", "tag:full")
# What transformation/macros/merge_logged.sql says of a fact whose older rows would change.
HISTORY = re.compile(r"\d+ rows of fact_transactions would not be what they were")
LEFT = "each mart is as its last good statement left it; the next build goes on."

_processes: dict[tuple[str, ...], DbtProcess] = {}


def run_build(
    full_refresh: bool = False,
    *,
    days: Days = (),
    lookback_days: int | None = None,
    run_id: str | None = None,
    wait_seconds: float = 0,
    on_node: Callable[[Node], None] = lambda _: None,
) -> dict[str, Any]:
    """Bring the marts to what the loads hold, and say what was done.

    Args:
        full_refresh: compute the marts anew from all loads instead of merging the new ones.
        days: business days, first and last of each range: transactions are made equal to silver again, summaries to
            the fact. Dimensions are repaired by a full refresh only.
        lookback_days: the same for so many days before the fact's newest; None: three days, at most once an hour.
        run_id: the orchestrated run that asks.
        wait_seconds: how long to wait for another build that is alive.
        on_node: called with each model and test as it ends: node, name, kind, status, seconds.

    Returns:
        build_id, status (SUCCESS, or UNCHANGED when there was nothing to do), seconds, loads (ids), full_refresh, days,
        computed_anew (models), models (name and seconds each) and tests (how many passed); event_to_gold (events,
        p50_seconds, p95_seconds) where the build brought events.

    Raises:
        TieoutError: another build runs, or dbt failed; the build's row says FAILED then.
    """
    layout, build_id = find_layout(), uuid.uuid4()
    request = BuildRequest(full_refresh, tuple(days), lookback_days, run_id)
    with connect_as_dbt() as db, hold_build_lock(db, wait_seconds):
        begun = time.monotonic()
        require_revision(db)
        clear_leftovers(db)
        plan = plans.open_build(db, build_id, project_hash(layout.checkout / "transformation"), request)
        if plan is None:
            say("  marts: nothing new, nothing changed")
            return _report(None, time.monotonic() - begun, (), ())
        outcome, anew = _run_dbt(db, dbt_process(layout), plan, on_node)
        delay = record.delay_of(db, build_id)
    report = _report(plan, time.monotonic() - begun, outcome.nodes, anew)
    if delay is not None:
        report["event_to_gold"] = dict(zip(("events", "p50_seconds", "p95_seconds"), delay, strict=True))
    say(
        f"  marts: {len(plan.loads)} loads, {outcome.count('model')} models, {outcome.count('test')} tests"
        f"{', computed anew' if plan.full_refresh else ''}  {report['seconds']:.1f} s"
    )
    return report


def _run_dbt(
    db: Connection, dbt: DbtProcess, plan: Plan, on_node: Callable[[Node], None]
) -> tuple[Outcome, tuple[str, ...]]:
    args = ["build", *NOT_IN_A_BUILD, *(() if plan.with_seeds else ("resource_type:seed",))]
    known = {"TIEOUT_BUILD_ID": str(plan.build_id), "TIEOUT_GIVES_WAY": "yes" if gives_way(db) else ""}

    def hear(node: Node) -> None:
        # The lock ends with its connection: whoever has lost it stops here, and no model of his is committed any more.
        db.execute("select 1")
        on_node(node)

    try:
        anew = plans.fix_models(db, plan, model_hashes(dbt.read_manifest()))
        if anew and not plan.full_refresh:
            say(f"  computed anew, since what makes their rows has changed: {', '.join(anew)}")
        outcome = dbt.run(args, known, hear)
        failures = [] if outcome.ok else outcome.failures()
        record.close_build(db, plan.build_id, "; ".join(failures)[:2000] or None)
    except BaseException as error:
        dbt.close()
        if not db.closed:
            record.close_build(db, plan.build_id, f"{type(error).__name__} while dbt ran")
        raise
    if failures:
        raise _failure(failures, dbt)
    return outcome, anew


def _failure(failures: list[str], dbt: DbtProcess) -> TieoutError:
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    found = HISTORY.search("\n".join(failures))
    if found:
        return TieoutError(
            f"the models, seeds or macros have changed what the past comes to: {found[0]}.",
            "fact_transactions and all that is summed from it are as they were.",
            "./scripts/tieout build --full-refresh",
        )
    kind = OutageError if is_outage(failures) else TieoutError
    return kind(
        f"the build failed at {failures[0]}{more}",
        f"{LEFT} dbt's log: {dbt.log}",
        "./scripts/tieout build, once the cause is gone",
    )


def dbt_process(layout: Layout) -> DbtProcess:
    """Return the warm process of a platform; its connection is the settings' own."""
    connection = dbt_environment(layout)
    key = (str(layout.checkout), str(layout.home), *connection.values())
    if key not in _processes:
        _processes[key] = DbtProcess(layout, connection)
    return _processes[key]


def end_processes() -> None:
    """End every warm process: their platform is about to go."""
    for process in _processes.values():
        process.close()
    _processes.clear()


def _report(plan: Plan | None, seconds: float, nodes: tuple[Node, ...], anew: tuple[str, ...]) -> dict[str, Any]:
    return {
        "build_id": str(plan.build_id) if plan else None,
        "status": "SUCCESS" if plan else "UNCHANGED",
        "seconds": round(seconds, 3),
        "full_refresh": bool(plan and plan.full_refresh),
        "loads": list(plan.loads) if plan else [],
        "days": [list(span) for span in plan.days] if plan else [],
        "computed_anew": list(anew),
        "models": [{"name": n["name"], "seconds": n["seconds"]} for n in nodes if n["kind"] == "model"],
        "tests": sum(1 for node in nodes if node["kind"] == "test"),
    }
