"""What orchestration costs: a triggered run of the pipeline's DAG beside the same work by plain commands.

    TIEOUT_HOME=... .tieout/env/platform/bin/python benchmarks/orchestration.py [--repeat 3] [--out FILE]

Needs a running platform with Airflow (LOOP=airflow) whose pipeline has no schedule (PIPELINE_SCHEDULE=off), and nothing
that produces. Each round does both kinds of work in turn, so that a busy machine weighs on all alike; medians count.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from control.airflow_rest import Rest
from control.env import settings
from core.errors import OutageError
from core.layout import CHECKOUT, find_layout

DAG = "fintech_analytics_pipeline"
EVENTS = 10_000


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rest = Rest(settings(find_layout()))
    rest.pause(DAG, False)
    _produce()
    _run_dag(rest)  # the first run computes everything anew, and warms what can be warm
    seconds: dict[str, list[float]] = {}
    for _ in range(given.repeat):
        for name, work in _works(rest):
            seconds.setdefault(name, []).append(work())
            print(f"{name}: {seconds[name][-1]:.1f} s", file=sys.stderr)  # noqa: T201
    found = _table({name: statistics.median(times) for name, times in seconds.items()})
    report = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": _machine(), "rounds": seconds, **found}
    if given.out:
        given.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report))  # noqa: T201


def _works(rest: Rest) -> list[tuple[str, Callable[[], float]]]:
    def with_news(work: Callable[[], float]) -> Callable[[], float]:
        def prepared() -> float:
            _produce()
            return work()

        return prepared

    return [
        ("plain, nothing new", _run_plainly),
        ("triggered run, nothing new", lambda: _run_dag(rest)),
        ("plain, 10,000 events", with_news(_run_plainly)),
        ("triggered run, 10,000 events", with_news(lambda: _run_dag(rest))),
        ("of it one build, 10,000 events", with_news(_build_alone)),
    ]


def _produce() -> None:
    """Send events and wait until the lake has them: the stream's own pace is no part of what is measured."""
    _tieout("produce", "--rate", "0", "--total", str(EVENTS))
    _tieout("check", "bronze", "--catch-up")


def _run_plainly() -> float:
    begun = time.monotonic()
    for command in ("load", "build", "proof"):
        _tieout(command)
    return time.monotonic() - begun


def _build_alone() -> float:
    _tieout("load")
    begun = time.monotonic()
    _tieout("build")
    return time.monotonic() - begun


def _run_dag(rest: Rest) -> float:
    begun = time.monotonic()
    run = rest.call("POST", f"/api/v2/dags/{DAG}/dagRuns", {"logical_date": None, "conf": {}})["dag_run_id"]
    path = f"/api/v2/dags/{DAG}/dagRuns/{quote(run, safe='')}"
    state = None
    while state not in ("success", "failed"):
        time.sleep(0.2)
        with contextlib.suppress(OutageError):  # a busy machine's API server may be late
            state = rest.call("GET", path)["state"]
    if state != "success":
        raise SystemExit(f"the run {run} failed: nothing is measured by that")
    return time.monotonic() - begun


def _tieout(*arguments: str) -> None:
    command = [str(CHECKOUT / "scripts" / "tieout"), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _table(medians: dict[str, float]) -> dict[str, Any]:
    ratios = {
        what: round(medians[f"triggered run, {what}"] / medians[f"plain, {what}"], 1)
        for what in ("nothing new", "10,000 events")
    }
    for name, value in medians.items():
        print(f"{name:<34} {value:6.1f} s", file=sys.stderr)  # noqa: T201
    for what, ratio in ratios.items():
        print(f"orchestrated / plain, {what:<12} {ratio:6.1f}", file=sys.stderr)  # noqa: T201
    return {"seconds": {name: round(value, 1) for name, value in medians.items()}, "ratios": ratios}


def _machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "load_average": [round(value, 1) for value in os.getloadavg()]}


if __name__ == "__main__":
    main()
