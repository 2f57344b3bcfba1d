"""Two more inputs from public bug reports; each leaves a topic behind that no other test should find."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from partner import Sender, payment

from control.testing import add_partitions, transaction

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1800)]

DAY = "2007-03-01T10:11:12+05:30"


def counted(platform: Any) -> dict[str, Any]:
    """Wait until the live view has counted; return what it says of itself."""
    deadline = time.monotonic() + 120
    while (done := platform.script("tieout", "live", "--check", "--json")).returncode == 75:
        assert time.monotonic() < deadline, done.stdout
        time.sleep(1)
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_partitions_that_are_added_while_all_runs_are_read_by_stream_live_and_proof(
    own_platform: Any, tmp_path: Path
) -> None:
    platform = own_platform
    add_partitions(platform.settings, "transactions", 12)
    time.sleep(10)
    events = [payment(f"c07-{n}", DAY, amount=1, customer_id=f"CX07{n:02}") for n in range(1, 41)]
    Sender(platform, tmp_path).events("gateway-case07", events, closing={"INR": (40, "40.00")})
    assert platform.json("run")["ok"]
    used = platform.rows("select count(distinct partition) filter (where partition >= 6) from raw.transactions")
    assert used[0][0] > 0
    assert platform.rows("select count(*), sum(amount) = 40 from marts.fact_transactions") == [(40, True)]
    assert counted(platform)["verdict"] == "OK"

    for script in ("stop.sh", "start.sh"):
        result = platform.script(script, *(["--no-demo"] if script == "start.sh" else []))
        assert result.returncode == 0, result.stdout + result.stderr
    assert counted(platform)["verdict"] == "OK"
    proof = platform.json("proof", "--deep")
    assert {each["verdict"] for each in proof["equations"]} == {"OK"}


def test_of_a_transactional_producer_the_committed_payments_count_and_the_offsets_are_accounted_for(
    own_platform: Any,
) -> None:
    platform = own_platform
    committed = [payment(f"c27-{n}", DAY, amount=10 * n) for n in (1, 2)]
    with transaction(platform.settings, committed, partition=3):
        pass
    with transaction(platform.settings, [payment("c27-aborted", DAY, amount=999)], partition=3, abort=True):
        pass
    for _ in range(2):
        assert platform.json("run")["ok"]
    assert platform.rows("select count(*), sum(amount) = 30 from marts.fact_transactions") == [(2, True)]
    proof = platform.json("proof", "--deep")
    assert proof["ok"]
    of_partition = [each for each in proof["equations"] if each["name"] == "E1" and each["scope"].get("partition") == 3]
    assert [each["scope"].get("MARKER") for each in of_partition] == [2, None]
    assert {each["verdict"] for each in of_partition} == {"OK"}
    kinds = "metadata.count_offsets(range_agg(aborted)), metadata.count_offsets(range_agg(markers))"
    assert platform.rows(f"select {kinds} from metadata.explained_offsets") == [(1, 2)]
    assert counted(platform)["verdict"] == "OK"

    with transaction(platform.settings, [payment("c27-open", DAY, amount=5)], partition=3):
        assert platform.json("run")["ok"]
        assert platform.rows("select count(*) from raw.transactions") == [(2,)]
    assert platform.json("run")["ok"]
    assert platform.rows("select count(*) from marts.fact_transactions") == [(3,)]
