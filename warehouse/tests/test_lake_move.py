"""A lake that moves: the copy is proven, a kill leaves no table that looks whole, and the loader goes on there."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from lake_writer import LakeWriter, dead_letter, local_lake, payment
from own_database import OwnDatabase

from contracts.entities import load_entity
from control.catching_up import writer_is_at_work
from control.env import change_env, ensure_env, lake_of, settings
from control.move_lake import move_lake
from control.store import Store
from core.errors import OptionError, TieoutError
from core.failpoints import VARIABLE
from core.lake import Lake, LakeTable
from core.layout import CHECKOUT, Layout
from core.settings import parse_settings
from spark_streaming import lock
from warehouse.load import run_loads
from warehouse.proof import run_proof

pytestmark = pytest.mark.services


@pytest.fixture
def layout(tmp_path: Path, store: Store) -> Layout:
    """A home whose settings name the store's address and keys, and not where the lake is."""
    layout = Layout(CHECKOUT, tmp_path)
    ensure_env(layout)
    change_env(layout, {name: value for name, value in store.settings.items() if name != "LAKE_URL"})
    return layout


@pytest.fixture
def url() -> str:
    return f"s3://lake/{uuid4().hex}"


@pytest.fixture
def lake(layout: Layout) -> LakeWriter:
    """Three commits, amounts of several currencies, a file name that an URI spells otherwise."""
    writer = LakeWriter(layout)
    for batch in range(3):
        events = [
            payment(f"t{batch}-{n}", amount=Decimal(n * 7 + 1) / 100, currency=("INR", "USD")[n % 2]) for n in range(10)
        ]
        writer.commit([*events, dead_letter()])
    return writer


def at(url: str, layout: Layout) -> Lake:
    return lake_of(layout, {**settings(layout), "LAKE_URL": url})


def contents(table: LakeTable) -> dict[str, bytes]:
    return {name: table.place.read(f"{table.name}/{name}") for name in table.sizes()}


def is_delta(table: LakeTable) -> bool:
    try:
        DeltaTable(table.uri, storage_options=table.storage_options or None)
    except DeltaError:
        return False
    return True


def test_a_copy_has_every_byte_and_the_loader_goes_on_with_it(
    layout: Layout, lake: LakeWriter, url: str, database: OwnDatabase, query: Callable[..., Any]
) -> None:
    first = run_loads(database, layout, say=lambda _: None)
    assert sum(load["rows_loaded"] for load in first) == 30
    done = move_lake(layout, url, switch=True)
    moved = at(url, layout)
    assert lake_of(layout, settings(layout)) == moved, "LAKE_URL is in .env"
    for here, there in zip(lake.lake.tables, moved.tables, strict=False):
        assert contents(here)
        assert contents(here) == contents(there)
    bronze = done["tables"][1]
    assert (bronze["version"], bronze["rows"], bronze["ends"]) == (2, 30, {"0": 33})
    assert bronze["amounts"] == {
        "INR": {"count": 15, "amount": "4.3500"},
        "USD": {"count": 15, "amount": "5.4000"},
    }
    told = parse_settings(settings(layout), layout)
    there = database.model_copy(
        update={
            name: getattr(told, name) for name in ("lake_url", "lake_endpoint", "lake_access_key", "lake_secret_key")
        }
    )
    assert run_loads(there, layout, say=lambda _: None) == []
    lake.lake = moved
    lake.commit([payment("new")])
    (load,) = run_loads(there, layout, say=lambda _: None)
    assert (load["rows_loaded"], load["already_loaded"], load["duplicates"]) == (1, 0, 0)
    assert run_proof(True, settings=there, layout=layout)["ok"]
    assert query("select count(*) from raw.transactions") == [(31,)]


def test_the_tables_of_every_entity_are_moved_with_their_amounts(layout: Layout, lake: LakeWriter) -> None:
    refunds = load_entity("refunds")
    amounts = pa.table({"currency": ["INR", "KWD", "INR"], "amount": [Decimal("1.10"), Decimal("0.123"), Decimal(2)]})
    write_deltalake(lake.lake.table(refunds.bronze).uri, amounts)
    write_deltalake(lake.lake.table(refunds.dead_letters).uri, pa.table({"reasons": [["NULL_VALUE"]]}))
    done = {table["table"]: table for table in move_lake(layout, "file:elsewhere")["tables"]}
    assert list(done) == ["dead_letter_queue", "raw_transactions", refunds.dead_letters, refunds.bronze]
    assert done[refunds.bronze]["amounts"] == {
        "INR": {"count": 2, "amount": "3.100"},
        "KWD": {"count": 1, "amount": "0.123"},
    }
    assert (done[refunds.dead_letters]["rows"], done[refunds.dead_letters]["amounts"]) == (1, {})


MOVE = """
import sys
from pathlib import Path
from control.move_lake import move_lake
from core.layout import CHECKOUT, Layout
move_lake(Layout(CHECKOUT, Path(sys.argv[1])), sys.argv[2])
"""


def killed_move(layout: Layout, url: str, moment: str) -> None:
    command = [sys.executable, "-P", "-c", MOVE, str(layout.home), url]
    done = subprocess.run(command, env={**os.environ, VARIABLE: moment}, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


@pytest.mark.parametrize("to_folder", [False, True])
@pytest.mark.parametrize(
    ("moment", "whole"),
    [
        ("lake-move.before-log", [False, False]),
        ("lake-move.before-log:3", [False, False]),
        ("lake-move.before-log:4", [True, False]),
        ("lake-move.before-log:6", [True, False]),
        ("lake-move.before-proof", [True, True]),
    ],
)
def test_a_kill_leaves_no_table_that_looks_whole_and_the_same_command_ends_the_work(
    layout: Layout, lake: LakeWriter, url: str, moment: str, whole: list[bool], to_folder: bool
) -> None:
    url = "file:elsewhere/lake" if to_folder else url
    killed_move(layout, url, moment)
    moved = at(url, layout)
    assert [is_delta(table) for table in moved.tables] == [*whole, False, False]
    assert "LAKE_URL" not in layout.env_file.read_text()
    assert [table.count() for table in lake.lake.tables] == [3, 30]
    assert not writer_is_at_work(layout), "the lock ended with the process"
    done = move_lake(layout, url)
    assert [table["rows"] for table in done["tables"]] == [3, 30]
    assert f"set LAKE_URL={url}" in done["next"]
    assert [contents(table) for table in moved.tables if table.exists()] == [contents(t) for t in lake.lake.tables]


def test_what_was_cut_short_is_copied_again_and_what_is_whole_is_not(layout: Layout, lake: LakeWriter) -> None:
    killed_move(layout, "file:elsewhere", "lake-move.before-log:4")
    (whole, *_, short) = sorted(at("file:elsewhere", layout).bronze.folder.rglob("*.parquet"))  # type: ignore[union-attr]
    short.write_bytes(short.read_bytes()[:100])
    kept = whole.stat().st_ino
    move_lake(layout, "file:elsewhere")
    assert whole.stat().st_ino == kept
    assert short.stat().st_size > 100


@pytest.mark.parametrize(("moment", "whole"), [("lake-move.before-log:7", False), ("lake-move.before-log:8", True)])
def test_a_log_with_a_checkpoint_and_without_its_begin_is_no_table_or_a_whole_one(
    layout: Layout, lake: LakeWriter, url: str, moment: str, whole: bool
) -> None:
    bronze = lake.lake.bronze
    bronze.delta().create_checkpoint()
    (Path(bronze.uri) / "_delta_log" / f"{0:020}.json").unlink()
    lake.commit([payment("after")])
    moved = at(url, layout).bronze
    killed_move(layout, url, moment)
    assert is_delta(moved) == whole
    assert not whole or moved.delta().version() == 3
    move_lake(layout, url)
    assert (moved.count(), moved.newest_version()) == (31, 3)
    assert contents(moved) == contents(bronze)


def test_a_lake_comes_back_from_a_store(layout: Layout, lake: LakeWriter, url: str) -> None:
    move_lake(layout, url, switch=True)
    with pytest.raises(OptionError, match="already"):
        move_lake(layout, url)
    move_lake(layout, "file:back", switch=True)
    back = lake_of(layout, settings(layout))
    for here in lake.lake.tables:
        assert contents(here) == contents(back.table(here.name))


def test_a_copy_of_which_a_byte_is_another_is_refused_and_named(layout: Layout, lake: LakeWriter) -> None:
    move_lake(layout, "file:elsewhere")
    file = next(at("file:elsewhere", layout).bronze.folder.rglob("*.parquet"))  # type: ignore[union-attr]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(TieoutError, match=r"is not equal: the bytes of year=2026(.|\n)*remove what is at"):
        move_lake(layout, "file:elsewhere", switch=True)
    assert "LAKE_URL" not in layout.env_file.read_text()


@pytest.mark.parametrize("what", ["file", "commit"])
def test_another_lake_at_the_address_is_refused_and_stays(layout: Layout, lake: LakeWriter, what: str) -> None:
    other = at("file:elsewhere", layout)
    if what == "file":
        other.place.create("raw_transactions/theirs.parquet", b"x")
    else:
        other.place.create(f"raw_transactions/_delta_log/{0:020}.json", b'{"commitInfo": {}}\n')
    before = [contents(table) for table in other.tables]
    with pytest.raises(TieoutError, match=r"holds something else(.|\n)*another address in --to"):
        move_lake(layout, "file:elsewhere")
    assert [contents(table) for table in other.tables] == before


def test_a_writer_at_work_is_not_moved_away_from(layout: Layout, lake: LakeWriter, url: str) -> None:
    with lock.take(layout.writer_lock), pytest.raises(TieoutError, match=r"a stream writes the lake(.|\n)*stop\.sh"):
        move_lake(layout, url)
    assert not at(url, layout).bronze.sizes()


def test_a_commit_that_came_meanwhile_is_seen_and_the_copy_is_not_used(
    layout: Layout, lake: LakeWriter, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.failpoints.reach", late(lake))
    with pytest.raises(TieoutError, match="while it was copied"):
        move_lake(layout, url, switch=True)
    assert "LAKE_URL" not in layout.env_file.read_text()


def late(lake: LakeWriter) -> Callable[[str], None]:
    """Return what writes a batch once the copy is whole."""
    left: Iterator[str] = iter(["lake-move.before-proof"])

    def reach(name: str) -> None:
        if name == "lake-move.before-proof" and next(left, None):
            lake.commit([payment("late")])

    return reach


def test_an_odd_address_and_a_home_without_a_lake_are_refused_and_a_dry_run_writes_nothing(
    layout: Layout, url: str
) -> None:
    with pytest.raises(OptionError, match="--to is not as it should be: it begins with neither") as refusal:
        move_lake(layout, "gs://lake")
    assert refusal.value.next == "./scripts/tieout lake move --to s3://bucket/prefix"
    with pytest.raises(TieoutError, match="there is no lake at"):
        move_lake(layout, url)
    LakeWriter(layout).commit([payment("a")])
    shutil.rmtree(local_lake(layout).dead_letters.folder or "")
    planned = move_lake(layout, url, dry_run=True)
    assert [table["table"] for table in planned["tables"]] == ["raw_transactions"]
    assert planned["tables"][0]["files"] == 2
    assert not at(url, layout).bronze.sizes()
    assert json.dumps(planned)
