"""A status that claims an impossible time counts from its arrival: in silver, in ages, and in silver of before."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from lake_writer import FIRST_ARRIVAL, LakeWriter, dead_letter, payment
from own_database import OwnDatabase

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.layout import Layout
from warehouse.dlq.lake import open_letters
from warehouse.dlq.selection import Coordinates, Wanted
from warehouse.restate.pending import list_pending

pytestmark = pytest.mark.services

Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]
IN_2099 = datetime(2099, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
TRUE = FIRST_ARRIVAL - timedelta(hours=20)


@pytest.mark.parametrize("try_fresh", [True, False])
def test_what_cannot_be_true_counts_from_the_arrival_and_is_counted(
    load: Load, lake: LakeWriter, query: Query, try_fresh: bool
) -> None:
    lake.commit(
        [
            payment("true", status_at=TRUE),
            payment("none"),
            payment("late", status_at=IN_2099),
            payment("early", status_at=LONG_AGO),
            payment("rejected", status_at=IN_2099, processing_seconds=Decimal(-1)),
        ]
    )
    (result,) = load(try_fresh=try_fresh)
    assert query("select transaction_id, status_at = known_at from raw.transactions order by 1") == [
        ("early", True),
        ("late", True),
        ("none", True),
        ("true", False),
    ]
    assert query("select status_at from raw.transactions where transaction_id = 'true'") == [(TRUE,)]
    assert query("select status_at = known_at from raw.rejected_transactions") == [(True,)]
    assert query(
        "select rule, rows_checked, rows_broken from metadata.data_quality_metrics where metric = 'HEADERS'"
    ) == [("STATUS_AT_NOT_BELIEVED", 4, 3)]
    assert result["status_times_not_believed"] == 3


def test_a_pending_payment_is_as_old_as_the_rest_of_the_data_makes_it(
    load: Load, lake: LakeWriter, database: OwnDatabase
) -> None:
    lake.commit(
        [
            payment("waiting", "PENDING", status_at=TRUE),
            payment("settled", "PENDING", status_at=TRUE),
            payment("settled", "SUCCESS", status_at=IN_2099),
        ]
    )
    load()
    found = list_pending("12h", 10, settings=database)
    assert [(each["transaction_id"], each["age_seconds"]) for each in found["transactions"]] == [("waiting", 72_000)]
    assert list_pending("1d", 10, settings=database)["count"] == 0


def test_a_letter_is_put_back_with_a_time_that_can_be_true(layout: Layout, lake: LakeWriter) -> None:
    lake.commit([dead_letter(status_at=TRUE), dead_letter(status_at=IN_2099), dead_letter()])
    day = FIRST_ARRIVAL.date()
    wanted = [Wanted(Coordinates("sMHcCAVMSGyb_J6xbxrUwA", 0, offset), day, "MALFORMED_JSON") for offset in range(3)]
    with open_letters(lake.lake, load_entity(PAYMENTS), [wanted], rejected=False) as letters:
        times = [letter.status_at for page in letters.pages() for letter in page]
    assert times == ["2026-11-19T14:00:00Z", "2026-11-20T10:00:00.002000Z", "2026-11-20T10:00:00.003000Z"]


def test_silver_of_before_is_mended_and_its_days_are_built_again(load: Load, lake: LakeWriter, query: Query) -> None:
    lake.commit([payment(name, status_at=TRUE) for name in ("true", "late", "early")])
    load()
    query("update raw.transactions set status_at = %s where transaction_id = 'late'", IN_2099)
    query("update raw.transactions set status_at = %s where transaction_id = 'early'", LONG_AGO)
    query(
        "insert into metadata.builds (build_id, status, finished_at, full_refresh, lookback, project_hash)"
        " values (gen_random_uuid(), 'SUCCESS', now(), false, true, 'the models as they are')"
    )
    migration = import_module("warehouse.migrations.versions.0010_what_cannot_be_handled")
    query("begin")
    for statement in f"{migration.STATUS_TIMES};{migration.DAYS}".split(";"):
        if statement.strip():
            query(statement)
    query("commit")
    believed = query("select transaction_id, status_at = known_at from raw.transactions order by 1")
    assert believed == [("early", True), ("late", True), ("true", False)]
    builds = "select status, project_hash, full_refresh, days::text from metadata.builds where days <> '{}'"
    assert query(builds) == [("FAILED", "the models as they are", False, "{[2026-11-18,2026-11-21)}")]
