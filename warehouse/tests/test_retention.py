"""What is old enough goes, what went is written down, and the proof goes on to tie out."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from lake_writer import LakeWriter, dead_letter, payment
from own_database import OwnDatabase

from core.layout import Layout
from warehouse.load import run_loads
from warehouse.proof import run_proof
from warehouse.retention import expire

pytestmark = pytest.mark.services

LIMIT = datetime.now(UTC) - timedelta(days=30)


def fill(database: OwnDatabase, layout: Layout, lake: LakeWriter) -> None:
    lake.commit([payment("a"), dead_letter(), dead_letter("NULL_VALUE", run="r"), payment("a")])
    run_loads(database, layout, say=lambda _: None)
    lake.commit([payment("b"), dead_letter()])
    run_loads(database, layout, say=lambda _: None)


def different(database: OwnDatabase, layout: Layout) -> list[Any]:
    found = [run_proof(full=full, settings=database, layout=layout)["equations"] for full in (False, True)]
    return [e for equations in found for e in equations if e["verdict"] == "DIFFERENT"]


def test_expired_dead_letters_are_counted_by_what_was_written_down(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any
) -> None:
    fill(database, layout, lake)
    query("update raw.dead_letters set arrived_at = arrived_at - interval '60 days' where \"offset\" < 4")
    assert expire(database, {"dead_letters": LIMIT}) == {"dead_letters": 2}
    assert query("select count(*) from raw.dead_letters") == [(1,)]
    assert sorted(query("select coalesce(run, ''), start_offset, end_offset, count from metadata.retention_floor")) == [
        ("", 1, 2, 1),
        ("r", 2, 3, 1),
    ]
    assert different(database, layout) == []
    assert expire(database, {"dead_letters": LIMIT}) == {"dead_letters": 0}
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="younger than 7 days"):
        expire(database, {"dead_letters": datetime.now(UTC)})


def test_books_of_old_loads_go_and_those_that_say_where_loading_is_stay(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any
) -> None:
    fill(database, layout, lake)
    query("update metadata.load_audit set finished_at = finished_at - interval '60 days'")
    assert expire(database, {"loads": LIMIT}) == {"loads": 1}
    for table in ("load_totals", "load_offsets", "data_quality_metrics"):
        assert query(f"select count(distinct load_id) from metadata.{table}") == [(1,)]
    assert query("select count(*) from metadata.load_audit") == [(2,)], "a row of silver still finds its load"
    floor = query("select start_offset, end_offset, count from metadata.retention_floor where end_offset is not null")
    assert floor == [(0, 4, 4)]
    assert different(database, layout) == []


def test_old_proofs_go_and_the_newest_stays(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any
) -> None:
    fill(database, layout, lake)
    for _ in range(2):
        run_proof(settings=database, layout=layout)
    query("update metadata.proof set checked_at = checked_at - interval '60 days'")
    before = query("select count(*) from metadata.proof")[0][0]
    assert expire(database, {"proof_rows": LIMIT}) == {"proof_rows": before // 2}
    assert query("select count(distinct proof_id) from metadata.proof") == [(1,)]


def test_a_partition_that_moves_no_more_does_not_keep_the_books_of_old_loads(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Any
) -> None:
    lake.commit([payment("a"), payment("b", partition=1)])
    run_loads(database, layout, say=lambda _: None)
    for number in range(3):
        lake.commit([payment(f"c{number}")])
        run_loads(database, layout, say=lambda _: None)
    query("update metadata.load_audit set finished_at = finished_at - interval '60 days'")
    assert expire(database, {"loads": LIMIT}) == {"loads": 3}
    assert query("select partition, end_offset from metadata.load_offsets order by 1") == [(0, 4), (1, 1)]
    assert different(database, layout) == []
