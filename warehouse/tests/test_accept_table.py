"""Bronze is lost and filled again from Kafka: another table at the same place, taken only when someone says so."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest
from deltalake import DeltaTable
from lake_writer import LakeWriter, dead_letter, payment
from own_database import OwnDatabase

from core.errors import TieoutError
from core.layout import Layout
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
    old = table_id(lake.lake.bronze)
    shutil.rmtree(layout.data / "raw_transactions")
    anew = LakeWriter(layout)
    delivered = anew.deliver([*events[:20], dead_letter(), *events[20:], events[0], dead_letter()])
    anew.write(anew.lake.bronze, delivered[:15], {0: 0}, {0: 15})
    new = table_id(lake.lake.bronze)
    with pytest.raises(TieoutError, match="is another table") as refusal:
        load()
    assert f"load --accept-table {new}" in refusal.value.next
    with pytest.raises(TieoutError, match="partition 0 up to 15 of 43"):
        accept_table(new, "too early", settings=database, layout=layout)
    anew.write(anew.lake.bronze, delivered[15:], {0: 15}, {0: 43})
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


def refilled(lake: LakeWriter, layout: Layout, events: list[dict[str, Any]], lost: tuple[int, int] | None) -> str:
    """Delete bronze and fill it anew from offset 0, with one loss in it; return the new table's id."""
    shutil.rmtree(layout.data / "raw_transactions")
    anew = LakeWriter(layout)
    if lost is not None:
        begin, behind = lost
        delivered = anew.deliver(events[:begin])
        anew.write(anew.lake.bronze, delivered, {0: 0}, {0: begin})
        anew.lose(0, behind - begin, "again", tables=(anew.lake.bronze,))
        rest = anew.deliver(events[begin:])
        anew.write(anew.lake.bronze, rest, {0: behind}, {0: behind + len(rest)})
    else:
        anew.write(anew.lake.bronze, anew.deliver(events), {0: 0}, {0: len(events)})
    return table_id(lake.lake.bronze)


def state(query: Query) -> Any:
    return query("select lake_table, table_id, version, ends from metadata.load_watermark order by 1")


def test_a_loss_that_is_in_the_books_is_read_again_without_harm(
    load: Load, lake: LakeWriter, layout: Layout, database: OwnDatabase, query: Query
) -> None:
    lake.commit([payment("a"), payment("b")])
    lake.lose(0, 3, "gone")
    lake.commit([payment("c"), dead_letter()])
    load()
    new = refilled(lake, layout, [payment("a"), payment("b"), payment("c"), dead_letter()], (2, 5))
    accept_table(new, "the disk died", settings=database, layout=layout)
    assert sum(each["already_loaded"] for each in load()) == 3
    assert query("select start_offset, end_offset, offsets from metadata.lost_offsets") == [(2, 5, 3)]
    for full in (False, True):
        proof = run_proof(full, settings=database, layout=layout)
        assert {e["verdict"] for e in proof["equations"] if e["name"] in ("E1", "E2")} == {"OK"}


def test_a_table_that_lost_what_is_loaded_is_refused(
    load: Load, lake: LakeWriter, layout: Layout, database: OwnDatabase, query: Query
) -> None:
    lake.commit([payment("a"), payment("b"), payment("c")])
    load()
    before = state(query)
    new = refilled(lake, layout, [payment("c")], (0, 2))
    with pytest.raises(TieoutError, match=r"partition 0 from 0 to 2 was accepted as lost .* and 2 of these"):
        accept_table(new, "late", settings=database, layout=layout)
    assert state(query) == before


@pytest.mark.parametrize("missing", ["file", "version"])
def test_a_lake_that_cannot_be_read_again_is_refused_before_anything_is_written(
    load: Load, lake: LakeWriter, layout: Layout, database: OwnDatabase, query: Query, missing: str
) -> None:
    lake.commit([payment("a"), dead_letter()])
    lake.commit([payment("b")])
    load()
    before = state(query)
    new = refilled(lake, layout, [payment("a"), dead_letter(), payment("b")], None)
    if missing == "file":
        next((layout.data / "dead_letter_queue").rglob("*.parquet")).unlink()
    else:
        DeltaTable(str(layout.data / "dead_letter_queue")).create_checkpoint()
        (layout.data / "dead_letter_queue" / "_delta_log" / f"{0:020}.json").unlink()
    with pytest.raises(TieoutError, match="of its files are gone" if missing == "file" else "lacks version 0"):
        accept_table(new, "the disk died", settings=database, layout=layout)
    assert state(query) == before
    assert query("select count(*) from metadata.load_audit where error_code = 'TABLE_ACCEPTED'") == [(0,)]


def test_new_dead_letters_leave_bronze_where_it_was(
    load: Load, lake: LakeWriter, layout: Layout, database: OwnDatabase, query: Query
) -> None:
    """Bronze's merged files are gone: it could not be read again, and need not be."""
    lake.commit([payment("a"), dead_letter()])
    load()
    shutil.rmtree(layout.data / "dead_letter_queue")
    anew = LakeWriter(layout)
    anew.write(anew.lake.dead_letters, anew.deliver([payment("a"), dead_letter()]), {0: 0}, {0: 2})
    held = {path: path.read_bytes() for path in (layout.data / "raw_transactions").rglob("*.parquet")}
    for path in held:
        path.unlink()
    accept_table(table_id(lake.lake.dead_letters), "the disk died", settings=database, layout=layout)
    lake.commit([payment("b"), dead_letter()])
    (entry,) = load()
    assert (entry["rows_loaded"], entry["already_loaded"], entry["dead_letters"]) == (1, 0, 1)
    for path, content in held.items():
        path.write_bytes(content)
    for full in (False, True):
        proof = run_proof(full, settings=database, layout=layout)
        assert {e["verdict"] for e in proof["equations"] if e["name"] in ("E1", "E2")} == {"OK"}
