"""Silver made again from the lake is silver as it was, row by row; where it cannot be, it stays as it is."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from lake_writer import LakeWriter, dead_letter, payment
from own_database import OwnDatabase

from control import rebuild
from core.errors import OutageError, TieoutError
from core.failpoints import VARIABLE
from core.layout import Layout
from core.locks import AdvisoryKey, take_advisory
from transformation import connection
from transformation.lock import hold_build_lock
from warehouse.proof import run_proof
from warehouse.rebuild import rebuild_silver

pytestmark = pytest.mark.services
Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]

TABLES = ("transactions", "duplicates", "rejected_transactions", "dead_letters")
REBUILD = """
import sys
from pathlib import Path
from core.layout import CHECKOUT, Layout
from warehouse.rebuild import rebuild_silver
from own_database import OwnDatabase
settings = OwnDatabase.model_validate_json(sys.stdin.read())
rebuild_silver(settings, Layout(CHECKOUT, Path(sys.argv[1])), lambda _: None)
"""


@pytest.fixture
def loaded(lake: LakeWriter, load: Load, query: Query) -> None:
    """Eight loads with everything that silver tells apart, one of them over offsets that others had read."""
    chance = random.Random(7)
    for number in range(7):
        lake.commit([event(chance, number, n) for n in range(60)])
        load(max_rows_per_load=45)
        if number == 4:
            query("delete from metadata.load_watermark")  # as a lost one: all is read again, and is there already
    days = lake.lake.bronze.delta()
    days.optimize.compact()
    days.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)


@pytest.fixture
def small(lake: LakeWriter, load: Load) -> None:
    """One load."""
    lake.commit([payment(f"t{n}", run="feed-1", seq=n + 1) for n in range(5)] + [dead_letter()])
    load()


def event(chance: random.Random, batch: int, number: int) -> dict[str, Any]:
    """Return an event that may be new, a copy, a settlement, a contradiction, a redrive, invalid or malformed."""
    partition, feed = number % 2, {"run": f"feed-{number % 3}", "seq": batch * 60 + number + 1}
    draw = chance.random()
    if draw < 0.08:
        return dead_letter(
            raw_value=b'{"amount": 12.50, "currency": "INR"' + b" " * number, partition=partition, **feed
        )
    if draw < 0.14:
        return payment("bad", currency=chance.choice(["XXX", "INR"]), amount=Decimal(-1), partition=partition, **feed)
    if draw < 0.18:
        feed["redrive_of"] = f"0:{chance.randrange(4)}"
    amount = Decimal(chance.choice([100, 100, 100, 333])) / 100
    status = chance.choice(["PENDING", "SUCCESS", "FAILED"])
    currency = ("INR", "USD", "KWD")[chance.randrange(40) % 3 if draw > 0.95 else 0]
    return payment(f"t{chance.randrange(60)}", status, amount=amount, currency=currency, partition=partition, **feed)


def silver(query: Query) -> dict[str, list[str]]:
    return {name: [row for (row,) in query(f"select t::text from raw.{name} t order by 1")] for name in TABLES}


def ruin(query: Query, how: str) -> None:
    for table in TABLES if how == "all of it" else TABLES[:3]:
        query(
            f"delete from raw.{table}"
            + ("" if how == "all of it" else " where abs(hashtext(t::text)) % 3 = 0").replace("t::", f"{table}::")
        )
    if how == "parts and amounts":
        query(
            "update raw.transactions set amount = amount + 1, load_id = 1 where abs(hashtext(transaction_id)) % 5 = 0"
        )
        query("update raw.dead_letters set reasons = '{X}', amount_hint = 1, currency_hint = 'USD'")


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    "how", ["parts and amounts", *(pytest.param(each, marks=pytest.mark.slow) for each in ("all of it", "nothing"))]
)
def test_silver_made_again_is_silver_as_it_was(database: OwnDatabase, layout: Layout, query: Query, how: str) -> None:
    before = silver(query)
    reasons = {reason for (reason,) in query("select distinct unnest(reasons) from raw.rejected_transactions")}
    assert {"CONFLICTING_DUPLICATE", "CONTRADICTING_STATUS", "SETTLEMENT_MISMATCH", "AMOUNT_NOT_POSITIVE"} <= reasons
    assert all(len(rows) > 10 for rows in before.values())
    assert query("select sum(already_loaded) > 100 from metadata.load_audit") == [(True,)]
    proof = run_proof(True, settings=database, layout=layout)
    if how != "nothing":
        ruin(query, how)
        assert silver(query) != before
        assert not run_proof(True, settings=database, layout=layout)["ok"]
    done = rebuild_silver(database, layout, lambda _: None)
    assert silver(query) == before
    assert done["loads"] > 7
    assert done["feeds"] == 3
    assert done["kept"] == dict.fromkeys(TABLES[:3], 0)
    assert sum(count for count, _ in done["books"]["transactions"].values()) == len(before["transactions"])
    again = run_proof(True, settings=database, layout=layout)
    assert again["ok"]
    assert again["equations"] == proof["equations"]


def test_a_kill_leaves_silver_as_it_was_and_the_same_command_ends_the_work(
    database: OwnDatabase, layout: Layout, query: Query, loaded: None
) -> None:
    before = silver(query)
    ruin(query, "parts and amounts")
    ruined = silver(query)
    for moment in ("load.in-copy:9", "rebuild.before-commit"):
        done = subprocess.run(
            [sys.executable, "-c", REBUILD, str(layout.home)],
            input=database.model_dump_json(exclude_none=True),
            env=os.environ | {VARIABLE: moment},
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
        assert silver(query) == ruined
    wait_until_free(database, layout)
    assert silver(query) == before


def wait_until_free(database: OwnDatabase, layout: Layout) -> None:
    """Make it again once the database has noticed that the one before was killed."""
    for _ in range(50):
        try:
            rebuild_silver(database, layout, lambda _: None)
        except OutageError:
            continue
        return
    raise AssertionError("the lock of loads is never free")


def test_it_is_refused_while_a_load_or_a_build_runs(
    database: OwnDatabase, layout: Layout, query: Query, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = silver(query)
    with database.connect("loader") as loader:
        assert take_advisory(loader, AdvisoryKey.LOADER, 5)
        with pytest.raises(OutageError, match="another load is running: role"):
            rebuild_silver(database, layout, lambda _: None)

    @contextmanager
    def connect_as_dbt() -> Any:
        with psycopg.connect(database.dsn("dbt"), autocommit=True) as db:
            yield db

    monkeypatch.setattr(connection, "connect_as_dbt", connect_as_dbt)
    with (
        connect_as_dbt() as db,
        hold_build_lock(db),
        pytest.raises(OutageError, match=r"another build is running: role .*server process"),
    ):
        rebuild.silver()
    assert silver(query) == before


@pytest.mark.parametrize(
    "what",
    ["the lake lacks a file", "the books say otherwise", pytest.param("there are no books", marks=pytest.mark.slow)],
)
def test_what_cannot_be_made_equal_stays_as_it_is(
    database: OwnDatabase, layout: Layout, lake: LakeWriter, query: Query, small: None, what: str
) -> None:
    words = "is not equal: load .* should be"
    if what == "the lake lacks a file":
        delta, file = lake.lake.bronze.delta(), lake.lake.bronze.files()[0]
        delta.delete(f'"offset" = {file.statistics["min.offset"]}')
    elif what == "the books say otherwise":
        query("update metadata.load_totals set amount = amount + 0.01 where book = 'NEW'")
    else:
        query("truncate metadata.load_offsets")
        words = "no load has read the lake"
    before = silver(query)
    with pytest.raises(TieoutError, match=words) as refusal:
        rebuild_silver(database, layout, lambda _: None)
    assert "./scripts/tieout restore" in refusal.value.next
    assert silver(query) == before
    assert before["transactions"]


def test_rows_of_loads_whose_books_have_expired_are_kept(
    database: OwnDatabase, layout: Layout, query: Query, loaded: None
) -> None:
    before = silver(query)
    first = query("select min(load_id) + 2 from metadata.load_offsets")[0][0]
    for table in ("load_totals", "load_offsets"):
        query(f"delete from metadata.{table} where load_id < {first}")
    query(f"delete from raw.transactions where load_id >= {first}")
    done = rebuild_silver(database, layout, lambda _: None)
    assert silver(query) == before
    assert done["kept"]["transactions"] > 0
