"""The live view on a whole platform: what it counted is gold's, behind a build, a full refresh and a new opening."""

import json
import time
from typing import Any

import pytest

pytestmark = pytest.mark.services

STILL_COUNTING = 75


def checked(platform: Any) -> dict[str, Any]:
    """Return the comparison once it can be made: the live view may have events to count that gold holds already."""
    deadline = time.monotonic() + 120
    while True:
        done = platform.script("tieout", "live", "--check", "--json")
        result: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == {"OK": 0, "UNCHECKED": 75}.get(result["verdict"], 1)
        if done.returncode != STILL_COUNTING or time.monotonic() > deadline:
            return result
        time.sleep(1)


def test_totals_are_golds_behind_a_build_and_alerts_are_silvers(platform: Any) -> None:
    platform.tieout("produce", "--total", "400", "--rate", "0", "--faults", "0.05", "--settle-within", "30s")
    platform.tieout("run")
    result = checked(platform)
    assert result["verdict"] == "OK"
    assert len(result["totals"]) >= 4
    assert sum(line["gold"]["count"] for line in result["totals"]) >= 350
    alerts = platform.json("alert", "list", "--limit", "3")
    assert alerts
    assert {platform.json("alert", "explain", each["alert_id"])["verdict"] for each in alerts} == {"EQUAL"}


@pytest.mark.slow
def test_a_full_refresh_and_a_new_opening_change_no_total(platform: Any) -> None:
    before = platform.rows("select * from live.totals where count <> 0 order by 1, 2, 3, 4")
    platform.tieout("build", "--full-refresh")
    assert checked(platform)["verdict"] == "OK"
    opened = platform.rows("select opened_at from live.opening")
    platform.tieout("live", "--restart-from-gold", "--once")
    deadline = time.monotonic() + 60
    while platform.rows("select opened_at from live.opening") == opened and time.monotonic() < deadline:
        time.sleep(0.2)
    assert platform.rows("select source from live.opening") == [("GOLD",)]
    assert checked(platform)["verdict"] == "OK"
    totals = "select currency, status, merchant_category, payment_channel, count, amount from live.totals"
    after = platform.rows(f"{totals} where count <> 0 order by 1, 2, 3, 4")
    assert after == [row[:6] for row in before]
