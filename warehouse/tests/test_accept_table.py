"""Bronze is lost and filled again from Kafka: another table at the same place, taken only when someone says so."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest
from lake_writer import LakeWriter, dead_letter, payment
from own_database import OwnDatabase

from contracts.errors import TieoutError
from contracts.layout import Layout
from warehouse.accept import accept_table
from warehouse.delta_log import table_id
from warehouse.proof import run_proof

pytestmark = pytest.mark.services
Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]


def test_a_bronze_table_that_was_made_anew_is_taken_on_demand_and_nothing_comes_twice(
    load: Load, lake: LakeWriter, layout: Layout, database: OwnDatabase, query: Query
) -> None:
    events = [payment(f"t{number}") for number in range(40)]
    lake.commit([*events[:20], dead_letter()])
    lake.commit([*events[20:], events[0], dead_letter()])
    assert sum(each["rows_loaded"] for each in load()) == 40
    old = table_id(layout.bronze)
    shutil.rmtree(layout.bronze)
    anew = LakeWriter(layout)
    delivered = anew.deliver([*events[:20], dead_letter(), *events[20:], events[0], dead_letter()])
    anew.write(layout.bronze, delivered[:15], {0: 0}, {0: 15})
    new = table_id(layout.bronze)
    with pytest.raises(TieoutError, match="is another table") as refusal:
        load()
    assert f"load --accept-table {new}" in refusal.value.next
    with pytest.raises(TieoutError, match="partition 0 up to 15 of 43"):
        accept_table(new, "too early", settings=database, layout=layout)
    anew.write(layout.bronze, delivered[15:], {0: 15}, {0: 43})
    accept_table(new, "the disk died", settings=database, layout=layout)
    loads = load()
    assert sum(each["already_loaded"] for each in loads) == 41
    assert sum(each["rows_loaded"] + each["duplicates"] for each in loads) == 0
    with pytest.raises(TieoutError, match="there is no new table"):
        accept_table(new, "twice", settings=database, layout=layout)
    assert query("select count(*) from raw.transactions") == [(40,)]
    assert query("select count(*) from raw.dead_letters") == [(2,)]
    assert query("select error_detail from metadata.load_audit where error_code = 'TABLE_ACCEPTED'") == [
        (f"raw_transactions is {new} from now on, instead of {old}: the disk died",)
    ]
    for full in (False, True):
        proof = run_proof(full, settings=database, layout=layout)
        assert {e["verdict"] for e in proof["equations"] if e["name"] in ("E1", "E2")} == {"OK"}
