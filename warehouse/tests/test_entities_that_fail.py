"""One entity that cannot be loaded does not stop the other, and what failed is named at the end."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lake_writer import LakeWriter, payment, refund
from own_database import OwnDatabase
from test_control_feeds import Gateway
from test_entities import REFUNDS, TOPIC, TRANSACTIONS, numbered, say

from contracts.entities import in_force_file, load_entity
from contracts.model import Entity
from core.errors import TieoutError
from core.layout import Layout
from warehouse.freshness import look_at_bronze, look_at_loads
from warehouse.load import run_loads

Query = Callable[..., list[tuple[Any, ...]]]
services = pytest.mark.services


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    found = Gateway()
    monkeypatch.setattr("warehouse.load.ControlTopic", found)
    return found


@pytest.fixture
def refunds(layout: Layout) -> LakeWriter:
    return LakeWriter(layout, TOPIC, REFUNDS)


def damage(layout: Layout, entity: Entity) -> Callable[[], None]:
    """Cut an entity's newest commit short; return what mends it."""
    newest = max((layout.data / entity.bronze / "_delta_log").glob("*.json"))
    whole = newest.read_bytes()
    newest.write_bytes(whole[:10])

    def mend() -> None:
        newest.write_bytes(whole)

    return mend


@services
@pytest.mark.parametrize(("broken", "well"), [(TRANSACTIONS, REFUNDS), (REFUNDS, TRANSACTIONS)])
def test_an_entity_that_cannot_be_loaded_does_not_stop_the_other(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, refunds: LakeWriter, query: Query, broken: Entity,
    well: Entity,
) -> None:  # fmt: skip
    lake.commit([payment("t1")])
    refunds.commit([refund("r1")])
    mend = damage(layout, broken)
    with pytest.raises(TieoutError, match=rf"^{broken.name}: .*{broken.bronze} is damaged") as caught:
        run_loads(database, layout, run_id="r1", say=lambda _: None)
    assert f"{well.name} went on" in caught.value.left
    assert [load["entity"] for load in caught.value.done] == [well.name]
    assert query(f"select count(*) from {well.silver}") == [(1,)]
    audit = "select entity, status from metadata.load_audit order by 1"
    assert query(audit) == sorted([(broken.name, "FAILED"), (well.name, "SUCCESS")])
    with pytest.raises(TieoutError, match=f"^{broken.name}: ") as caught:
        look_at_bronze(layout, database, datetime.now(UTC))
    assert [each["entity"] for each in caught.value.done["entities"]] == [well.name]
    later = datetime.now(UTC) + timedelta(hours=1)
    seen = look_at_loads(layout, database, "r1", later)
    assert (len(seen["loads"]), seen["rows_left_behind"]) == (1, 0), "what failed is not silent"
    mend()
    assert [load["entity"] for load in run_loads(database, layout, say=lambda _: None)] == [broken.name]


@services
def test_a_watermark_of_another_table_refuses_its_entity_alone_and_totals_still_come(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, refunds: LakeWriter, gateway: Gateway, query: Query
) -> None:
    lake.commit([payment("t1", run="gateway-p", seq=1)])
    run_loads(database, layout, say=lambda _: None)
    query("update metadata.load_watermark set table_id = 'another' where lake_table = 'raw_transactions'")
    lake.commit([payment("t2", run="gateway-p", seq=2)])
    refunds.commit(numbered(1))
    gateway.say(2, 0, closed=True, run="gateway-p")
    say(gateway, 1, closed=True)
    with pytest.raises(TieoutError, match=r"^transactions: .* is another table") as caught:
        run_loads(database, layout, say=lambda _: None)
    assert [(load["entity"], load["control_totals"]) for load in caught.value.done] == [("refunds", 2)]
    feeds = "select run, finished_load_id is not null from metadata.feeds order by 1"
    assert query(feeds) == [("gateway-f", True), ("gateway-p", False)]


@services
def test_a_load_that_the_database_refuses_is_rolled_back_and_the_other_entity_is_loaded(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, refunds: LakeWriter, query: Query
) -> None:
    lake.commit([payment("t1")])
    refunds.commit([refund("r1")])
    query("alter table raw.transactions add constraint nothing check (false) not valid")
    try:
        with pytest.raises(TieoutError, match=r"^transactions: load 1 failed with 23514: constraint nothing") as caught:
            run_loads(database, layout, say=lambda _: None)
    finally:
        query("alter table raw.transactions drop constraint nothing")
    assert [load["entity"] for load in caught.value.done] == ["refunds"]
    assert query("select count(*) from raw.transactions") == [(0,)]


@services
def test_a_contract_that_cannot_be_read_stops_its_entity_and_no_control_total_is_judged_without_it(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, refunds: LakeWriter, gateway: Gateway, query: Query,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    lake.commit([payment("t1", run="gateway-p", seq=1)])
    refunds.commit(numbered(1))
    gateway.say(1, 0, closed=True, run="gateway-p")
    say(gateway, 1, closed=True)
    kept = in_force_file("refunds", layout)
    kept.parent.mkdir(parents=True)
    kept.write_text("schema: [")
    monkeypatch.setattr("contracts.entities.find_layout", lambda: layout)
    load_entity.cache_clear()
    try:
        with pytest.raises(TieoutError, match=r"^refunds: .*it is no YAML") as caught:
            run_loads(database, layout, say=lambda _: None)
    finally:
        kept.unlink()
        load_entity.cache_clear()
    assert [(load["entity"], load["control_totals"]) for load in caught.value.done] == [("transactions", 0)]
    loads = run_loads(database, layout, say=lambda _: None)
    assert [(load["entity"], load["control_totals"]) for load in loads] == [("refunds", 2)]
