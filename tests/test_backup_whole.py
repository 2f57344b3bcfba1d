"""Backup, wipe, restore, on a whole platform: the same rows, amounts and proof, and it goes on."""

import json
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from control.roles import dsn

pytestmark = [pytest.mark.services, pytest.mark.slow]

ROWS = """
select 'silver', currency, status, count(*), sum(amount)::text from raw.transactions group by 2, 3
union all select 'gold', currency, status, count(*), sum(amount)::text from marts.fact_transactions group by 2, 3
union all select 'rejected', currency, reasons::text, count(*), sum(amount)::text
    from raw.rejected_transactions group by 2, 3
union all select 'dead letters', null, reasons::text, count(*), null from raw.dead_letters group by 3
order by 1, 2, 3
"""


def lines_of(proof: dict[str, Any]) -> set[str]:
    return {json.dumps(line, sort_keys=True) for line in proof["equations"]}


def test_a_platform_comes_back_from_its_backup_with_the_same_proof(own_platform: Any, tmp_path: Path) -> None:
    own_platform.tieout("produce", "--total", "3000", "--timeline", "last:30d", "--faults", "0.05", "--seed", "7")
    assert own_platform.json("run")["ok"]
    rows, proof = own_platform.rows(ROWS), own_platform.json("proof", "--full")
    assert {kind for kind, *_ in rows} == {"silver", "gold", "rejected", "dead letters"}
    to = f"file:{tmp_path}/copies"
    done = own_platform.json("backup", "--to", to)
    own_platform.script("stop.sh")
    own_platform.tieout("reset", "--yes")
    restored = own_platform.json("restore", "--from", to)
    assert restored["backup_id"] == done["backup_id"]
    assert restored["proof"]["ok"]
    assert own_platform.rows(ROWS) == rows
    more = {json.loads(line)["name"] for line in lines_of(own_platform.json("proof", "--full")) ^ lines_of(proof)}
    assert more <= {"E1"}, "only the new topic is new"
    assert own_platform.script("start.sh", "--no-demo").returncode == 0
    assert own_platform.json("run")["ok"]
    assert own_platform.rows(ROWS) == rows
    own_platform.tieout("produce", "--total", "500", "--timeline", "last:30d", "--seed", "8")
    after = own_platform.json("run")
    assert after["ok"], after
    assert sum(n for kind, *_, n, _ in own_platform.rows(ROWS) if kind == "gold") > sum(
        n for kind, *_, n, _ in rows if kind == "gold"
    )
    assert own_platform.json("proof", "--full", "--deep")["ok"]
    assert own_platform.json("rebuild", "silver")["loads"] > 1
    assert own_platform.json("proof", "--full")["ok"]


def test_a_load_that_runs_while_the_warehouse_is_copied_comes_again_from_the_copied_lake(
    own_platform: Any, tmp_path: Path
) -> None:
    send = ("produce", "--timeline", "last:30d", "--faults", "0.05")
    own_platform.tieout(*send, "--total", "1000", "--seed", "7")
    assert own_platform.json("run")["ok"]
    before, to = own_platform.rows(ROWS), f"file:{tmp_path}/copies"
    owner = dsn(own_platform.settings, "postgres")
    with psycopg.connect(owner) as db:
        db.execute("lock table metadata.reconciliation_totals in access exclusive mode")
        copying = own_platform.background("backup", "--to", to, "--json")
        waits = "select pid from pg_stat_activity where application_name = 'pg_dump' and wait_event_type = 'Lock'"
        until = time.monotonic() + 60
        while not own_platform.rows(waits):
            assert copying.poll() is None
            assert time.monotonic() < until
            time.sleep(0.2)
        own_platform.tieout(*send, "--total", "500", "--seed", "8")
        own_platform.tieout("check", "bronze", "--catch-up")
        # The dump has begun before it, and does not see it.
        assert sum(load["rows_loaded"] for load in own_platform.json("load")["loads"]) > 400
    _, words = copying.communicate(timeout=120)
    assert copying.returncode == 0, words
    assert own_platform.json("run")["ok"]
    rows, proof = own_platform.rows(ROWS), own_platform.json("proof", "--full")
    assert rows != before
    own_platform.script("stop.sh")
    own_platform.tieout("reset", "--yes")
    assert own_platform.json("restore", "--from", to)["proof"]["ok"]
    assert own_platform.rows(ROWS) == before
    assert own_platform.script("start.sh", "--no-demo").returncode == 0
    assert own_platform.json("run")["ok"]
    assert own_platform.rows(ROWS) == rows
    more = {json.loads(line)["name"] for line in lines_of(own_platform.json("proof", "--full")) ^ lines_of(proof)}
    assert more <= {"E1"}, "only the new topic is new"
