"""A load's sums by status, with the pairs that it completes: the same whichever way they are looked up."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from lake_writer import LakeWriter, payment
from own_database import OwnDatabase

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from warehouse import statuses

pytestmark = pytest.mark.services
BY_KEY, IN_ONE_PASS = 0, 10**9


@pytest.mark.parametrize("row_bytes", [BY_KEY, IN_ONE_PASS])
@pytest.mark.parametrize("try_fresh", [True, False])
def test_each_pair_counts_once_in_the_load_that_completed_it(
    load: Callable[..., list[dict[str, Any]]],
    lake: LakeWriter,
    query: Callable[..., list[tuple[Any, ...]]],
    monkeypatch: pytest.MonkeyPatch,
    row_bytes: int,
    try_fresh: bool,
) -> None:
    monkeypatch.setattr(statuses, "ROW_BYTES", row_bytes)

    def paid(name: str, status: str, amount: int) -> dict[str, Any]:
        return payment(name, status, amount=Decimal(amount))

    lake.commit([paid("within", "PENDING", 1), paid("within", "SUCCESS", 1), paid("open", "PENDING", 2)])
    load(try_fresh=try_fresh)
    lake.commit([paid("open", "FAILED", 2), paid("early", "SUCCESS", 4), paid("never", "PENDING", 8)])
    load(try_fresh=try_fresh)
    # One of these clashes with another, so that the rest goes the fast way and these two by the stage.
    lake.commit([paid("early", "PENDING", 4), paid("twice", "SUCCESS", 16), paid("twice", "SUCCESS", 16)])
    lake.commit([paid("twice", "PENDING", 16), paid("pair", "PENDING", 32), paid("pair", "FAILED", 32)])
    load(try_fresh=try_fresh)
    settled = "select count, amount from metadata.load_statuses where status = 'SETTLED' order by load_id"
    assert query(settled) == [(1, Decimal(1)), (1, Decimal(2)), (3, Decimal(4 + 16 + 32))]
    pending = "select sum(count), sum(amount) from metadata.load_statuses where status = 'PENDING'"
    assert query(pending) == [(6, Decimal(1 + 2 + 4 + 8 + 16 + 32))]


@pytest.mark.parametrize("row_bytes", [BY_KEY, IN_ONE_PASS])
def test_a_pair_whose_amounts_differ_is_found(
    load: Callable[..., list[dict[str, Any]]],
    lake: LakeWriter,
    query: Callable[..., list[tuple[Any, ...]]],
    monkeypatch: pytest.MonkeyPatch,
    row_bytes: int,
) -> None:
    monkeypatch.setattr(statuses, "ROW_BYTES", row_bytes)
    lake.commit([payment("t1", "PENDING")])
    load()
    lake.commit([payment("t1", "SUCCESS", amount=Decimal(1))])
    load()
    assert query("select reasons from raw.rejected_transactions") == [(["SETTLEMENT_MISMATCH"],)]


@pytest.mark.parametrize("row_bytes", [BY_KEY, IN_ONE_PASS])
def test_the_rest_of_the_load_is_planned_as_ever(
    database: OwnDatabase, monkeypatch: pytest.MonkeyPatch, row_bytes: int
) -> None:
    monkeypatch.setattr(statuses, "ROW_BYTES", row_bytes)
    with psycopg.connect(database.dsn("loader")) as connection:
        statuses.find_pairs(connection, load_entity(PAYMENTS), 1, 1)
        for way in ("hashjoin", "mergejoin", "nestloop"):
            assert connection.execute(f"show enable_{way}").fetchone() == ("on",)
