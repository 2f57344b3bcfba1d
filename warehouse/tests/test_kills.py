"""A loader that is killed at any moment leaves silver as it was, or complete; the next load goes on."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from lake_writer import LakeWriter, dead_letter, payment
from own_database import OwnDatabase

from control.testing import Handle
from core.layout import Layout
from warehouse.proof import run_proof

pytestmark = pytest.mark.services
Load = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[tuple[Any, ...]]]

LOADER = """
import sys
from pathlib import Path
from core.layout import CHECKOUT, Layout
from warehouse.load import run_loads
from own_database import OwnDatabase
print("ready", flush=True)
run_loads(OwnDatabase.model_validate_json(sys.stdin.read()), Layout(CHECKOUT, Path(sys.argv[1])))
"""


def start_loader(database: OwnDatabase, layout: Layout) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", LOADER, str(layout.home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parent,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(database.model_dump_json(exclude_none=True))
    child.stdin.close()
    assert child.stdout.readline() == "ready\n"
    return child


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_loader_loses_and_repeats_nothing(
    load: Load, lake: LakeWriter, layout: Layout, database: OwnDatabase, query: Query, seed: int
) -> None:
    chance = random.Random(seed)
    settings = database.model_copy(update={"max_rows_per_load": 2500})
    for batch in range(8):
        events = [payment(f"t{batch}-{number}", partition=number % 3) for number in range(1000)]
        repeated = events[:50] if seed % 2 else []
        lake.commit([*events, *repeated, dead_letter()])
    for _ in range(3):
        child = start_loader(settings, layout)
        time.sleep(chance.uniform(0, 0.9))
        child.kill()
        child.wait()
    load(max_rows_per_load=2500)
    repeats = 400 if seed % 2 else 0
    assert query("select count(*), sum(amount) from raw.transactions") == [(8000, 8000 * payment()["amount"])]
    assert query("select count(*) from raw.duplicates") == [(repeats,)]
    assert query("select count(*) from raw.dead_letters") == [(8,)]
    assert query("select count(*) from metadata.load_audit where status = 'RUNNING'") == [(0,)]
    failed = query("select distinct error_code from metadata.load_audit where status = 'FAILED'")
    assert failed in ([], [("ORPHAN",)])
    for full in (False, True):
        verdicts = {(e["name"], e["verdict"]) for e in run_proof(full, settings=database, layout=layout)["equations"]}
        assert verdicts == {("E0", "UNATTESTED"), ("E1", "OK"), ("E2", "OK"), ("E3", "OPEN")}


def test_a_load_killed_in_its_transaction_is_marked_failed_by_the_next(
    load: Load, lake: LakeWriter, layout: Layout, database: OwnDatabase, query: Query
) -> None:
    lake.commit([payment(f"t{number}") for number in range(100)])
    with database.connect() as holder, holder.transaction():
        holder.execute("lock table raw.transactions in access exclusive mode")
        child = start_loader(database, layout)
        deadline = time.monotonic() + 30
        while query("select count(*) from metadata.load_audit where status = 'RUNNING'") == [(0,)]:
            assert time.monotonic() < deadline, "the loader wrote no audit row"
            time.sleep(0.05)
        child.kill()
        child.wait()
    load()
    assert query("select status, error_code, rows_loaded from metadata.load_audit order by load_id") == [
        ("FAILED", "ORPHAN", None),
        ("SUCCESS", None, 100),
    ]


def test_a_database_that_dies_under_a_load_loses_nothing(
    load: Load, lake: LakeWriter, layout: Layout, database: OwnDatabase, services: Handle
) -> None:
    lake.commit([payment(f"t{number}") for number in range(20_000)])
    child = start_loader(database, layout)
    deadline = time.monotonic() + 60
    while not count(database, "metadata.load_audit") and time.monotonic() < deadline:
        time.sleep(0.02)
    services.kill("postgres")
    assert child.wait(60) == 1
    while count(database, "metadata.load_audit") is None:
        assert time.monotonic() < deadline, "the database did not come back"
        time.sleep(0.2)
    load()
    assert count(database, "raw.transactions") == 20_000
    with database.connect() as connection:
        rows = connection.execute("select status, error_code from metadata.load_audit order by load_id").fetchall()
    assert rows == [("FAILED", "ORPHAN"), ("SUCCESS", None)]


def count(database: OwnDatabase, table: str) -> int | None:
    """Return the rows of a table; None while the database is away."""
    try:
        with database.connect() as connection:
            row = connection.execute(f"select count(*) from {table}").fetchone()
    except psycopg.OperationalError:
        return None
    return row[0] if row else None
