"""From the gateway to the marts, through every real service, as a person would use it."""

import csv
import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
from books import amounts_by_currency, assert_every_offset_once, marts

from core.layout import CHECKOUT

pytestmark = [pytest.mark.services, pytest.mark.timeout(1500)]

SAMPLE = next((CHECKOUT / "data" / "samples").glob("fraudTrain*.csv.gz"))
ROWS = 6000


@pytest.fixture(scope="module")
def statement(platform: Any) -> Path:
    """The first rows of the bundled card payments, as a file of their own."""
    path = Path(platform.home) / "fraudTrain_first.csv"
    with gzip.open(SAMPLE, "rt", encoding="utf-8", newline="") as source, path.open("w", encoding="utf-8") as target:
        target.writelines(line for _, line in zip(range(ROWS + 1), source, strict=False))
    path.chmod(0o644)
    return path


def replay(platform: Any, path: Path) -> None:
    """Send each row of a file once, with its own ids and times."""
    platform.tieout("produce", "--kaggle", str(path), "--mix", "1", "--total", "all", "--timeline", "original")


def truth(path: Path) -> tuple[int, Decimal]:
    with path.open(encoding="utf-8", newline="") as source:
        amounts = [Decimal(row["amt"]) for row in csv.DictReader(source)]
    return len(amounts), sum(amounts, Decimal(0))


def test_a_replayed_file_arrives_in_the_marts_to_the_cent(platform: Any, statement: Path) -> None:
    platform.tieout("run")
    before = amounts_by_currency(platform)
    replay(platform, statement)
    outcome = platform.json("run")
    assert outcome["ok"]
    assert {e["name"] for e in outcome["proof"]["equations"]} == {"E0", "E1", "E2", "E3", "E4"}
    # Other tests of this platform send feeds that nobody vouches for; the gateway vouches for this one.
    newest = platform.rows("select run from metadata.feeds order by first_load_id desc, run desc limit 1")[0][0]
    mine = {e["verdict"] for e in outcome["proof"]["equations"] if e["scope"].get("feed") == newest}
    assert mine == {"OK"}
    after = amounts_by_currency(platform)
    count, amount = before.pop("USD", (0, Decimal(0)))
    assert (after["USD"][0] - count, after.pop("USD")[1] - amount) == truth(statement)
    assert after == before
    assert_every_offset_once(platform)


def test_a_second_run_changes_nothing(platform: Any) -> None:
    before = marts(platform)
    assert before["fact_transactions"][0] >= ROWS
    assert platform.json("run")["ok"]
    assert marts(platform) == before


def test_the_same_file_again_is_a_set_of_duplicates(platform: Any, statement: Path) -> None:
    before = marts(platform)
    replay(platform, statement)
    assert platform.json("run")["ok"]
    assert marts(platform) == before
    assert platform.rows(f"select count(*) >= {ROWS} from raw.duplicates") == [(True,)]


def test_broken_events_are_kept_counted_and_proven(platform: Any) -> None:
    platform.tieout(
        "produce", "--total", "4000", "--rate", "0", "--timeline", "last:30d", "--faults", "0.2", "--seed", "7"
    )
    assert platform.json("run")["ok"]
    assert_every_offset_once(platform)
    (dead,) = platform.rows("select count(distinct r) from raw.dead_letters, unnest(reasons) r")
    (rejected,) = platform.rows("select count(distinct r) from raw.rejected_transactions, unnest(reasons) r")
    assert dead[0] > 20
    assert rejected[0] > 20


def test_a_full_refresh_gives_the_marts_that_the_increments_gave(platform: Any) -> None:
    before = marts(platform)
    platform.tieout("build", "--full-refresh")
    assert marts(platform) == before
    platform.tieout("proof", "--full")


def test_the_platform_listens_on_loopback_only(platform: Any) -> None:
    ours = {process.pid for process in platform.processes()}
    assert ours
    sockets = [c for c in psutil.net_connections("inet") if c.status == psutil.CONN_LISTEN and c.pid in ours]
    assert len(sockets) >= 3
    assert {c.laddr.ip for c in sockets} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
