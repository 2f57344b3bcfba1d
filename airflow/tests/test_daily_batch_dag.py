"""Thirty days through Airflow's own backfill: one missing and red, one repeated, and the marts equal the files."""

import csv
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from runs import OVER, Runs, wait_for

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(3600)]

# No other test of this platform has payments of this month.
DAYS = [f"2024-04-{day:02}" for day in range(1, 31)]
MISSING, REPEATED = DAYS[9], DAYS[19]
REVENUE = f"""
select occurred_on::text, attempt_count, revenue from marts.daily_processing_summary
where occurred_on between '{DAYS[0]}' and '{DAYS[-1]}' order by 1
"""


def files(platform: Any) -> list[tuple[str, int, Decimal]]:
    found = []
    for day in DAYS:
        path = Path(platform.home, "data", "raw", *day.split("-"), "transactions.csv")
        if path.exists():
            rows = list(csv.DictReader(io.StringIO(path.read_text())))
            found.append((day, len(rows), sum(Decimal(r["amount"]) for r in rows if r["status"] == "success")))
    return found


def test_thirty_days_go_through_a_backfill_to_the_cent(platform: Any) -> None:
    for day in DAYS:
        if day != MISSING:
            platform.tieout("batch", "generate", "--date", day, "--rows", "50")
    runs = Runs(platform.settings, "daily_batch")
    try:
        asked = {
            "dag_id": runs.dag,
            "from_date": f"{DAYS[0]}T00:00:00Z",
            "to_date": f"{DAYS[-1]}T00:00:00Z",
            "max_active_runs": 1,
            "reprocess_behavior": "none",
        }
        runs.rest.call("POST", "/api/v2/backfills", asked)

        def ended() -> dict[str, str] | None:
            path = f"/api/v2/dags/{runs.dag}/dagRuns?limit=100"
            all_runs = [run for run in runs.rest.call("GET", path)["dag_runs"] if run["run_type"] == "backfill"]
            states = {run["logical_date"][:10]: run["state"] for run in all_runs}
            return states if len(states) == len(DAYS) and set(states.values()) <= set(OVER) else None

        states = wait_for(ended, "thirty days", 3000)
        assert {day for day, state in states.items() if state == "failed"} == {MISSING}
        incidents = platform.rows("select count(*) > 0 from metadata.pipeline_incidents where dag_id = 'daily_batch'")
        assert incidents == [(True,)]
        assert platform.rows(REVENUE) == files(platform)
        said = platform.json("batch", "run", "--date", REPEATED)
        assert said["sent"]["outcome"] == "already sent"
        assert said["missing"] == [MISSING]
        assert platform.rows(REVENUE) == files(platform)
        assert platform.json("proof")["ok"]
    finally:
        runs.rest.pause(runs.dag, True)
