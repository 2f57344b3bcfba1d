"""Is bronze fresh, and did a run's loads take what was there?"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lake_writer import LakeWriter, payment
from own_database import OwnDatabase

from core.layout import Layout
from warehouse.freshness import look_at_bronze, look_at_loads
from warehouse.load import run_loads

pytestmark = pytest.mark.services


def test_freshness_is_that_of_the_newest_rows_and_an_empty_commit_makes_nothing_fresh(
    database: OwnDatabase, layout: Layout, lake: LakeWriter
) -> None:
    now = datetime.now(UTC)
    assert look_at_bronze(layout, database, now)["age_seconds"] is None
    lake.commit([payment("a"), payment("b")])
    lake.commit([])
    found = look_at_bronze(layout, database, now + timedelta(hours=30))
    assert found["rows_waiting"] == 2
    assert found["newest_arrival"].startswith("2026-11-20")
    assert 29 * 3600 < found["age_seconds"] <= 31 * 3600
    run_loads(database, layout, say=lambda _: None)
    assert look_at_bronze(layout, database, now)["rows_waiting"] == 0


def test_a_load_that_read_nothing_where_rows_were_is_silent(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any
) -> None:
    now = datetime.now(UTC)
    lake.commit([payment("a")])
    loads = run_loads(database, layout, run_id="r1", say=lambda _: None)
    found = look_at_loads(layout, database, "r1", now)
    assert (found["loads"], found["rows_read"], found["silent_loads"]) == ([loads[0]["load_id"]], 1, [])
    query("update metadata.load_audit set rows_read = 0, rows_expected = 0, rows_loaded = 0")
    assert look_at_loads(layout, database, "r1", now)["silent_loads"] == [loads[0]["load_id"]]
    lake.commit([payment("b")])
    assert look_at_loads(layout, database, "r2", now)["rows_left_behind"] == 0, "it may have come after the load"
    assert look_at_loads(layout, database, "r2", now + timedelta(hours=1))["rows_left_behind"] == 1
