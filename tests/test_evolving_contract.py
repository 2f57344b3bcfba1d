"""A field and a rule come while payments are pending; evolve is killed at each of its steps and ends all the same."""

import os
import subprocess
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from partner import Sender, payment

from contracts import entities
from core.layout import CHECKOUT

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1800)]

DAY, SAME_INSTANT = "2007-04-01T23:11:12+05:30", "2007-04-01T17:41:12Z"
FIELD = """      - name: merchant_id
        logicalType: string
        physicalType: text
        classification: internal
        description: The merchant as the acquirer knows it.
        examples: [M1]
        logicalTypeOptions: {maxLength: 40}
        quality:
          - name: MERCHANT_ID_BLANK
            type: custom
            engine: tieout
            description: The merchant's id is there, and blank.
            implementation: "merchant_id is null or length(trim(merchant_id, {blanks})) > 0"
"""
STEPS = ("evolve.after-silver", "evolve.after-bronze", "evolve.after-contract")


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    """A folder with the contracts of the next version."""
    folder = tmp_path / "entities"
    copytree(entities.FOLDER, folder)
    contract, samples = folder / "transactions" / "contract.odcs.yaml", folder / "transactions" / "samples.yaml"
    text = contract.read_text().replace("version: 1.1.0", "version: 1.2.0", 1)
    contract.write_text(text.replace("      - name: ip_address\n", FIELD + "      - name: ip_address\n", 1))
    samples.write_text(samples.read_text() + '  MERCHANT_ID_BLANK: [{merchant_id: ""}, {merchant_id: " "}]\n')
    return folder


def evolve(platform: Any, contracts: Path, failpoint: str = "", *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**platform.environment, "TIEOUT_CONTRACTS": str(contracts), "TIEOUT_FAILPOINT": failpoint}
    command = [str(CHECKOUT / "scripts" / "tieout"), "contract", "evolve", *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )


def test_a_field_comes_while_payments_are_pending(own_platform: Any, contracts: Path, tmp_path: Path) -> None:
    platform = own_platform
    send = Sender(platform, tmp_path).events
    pending = [payment(f"ev-{n}", DAY, status="PENDING") for n in range(1, 11)]
    send("gateway-before", [*pending, pending[0]], closing={"INR": (11, "110.00")})
    assert platform.json("run")["ok"]
    said = evolve(platform, contracts, "", "--dry-run")
    assert (said.returncode, "field merchant_id is new" in said.stdout) == (0, True), said.stdout + said.stderr

    for step in STEPS:
        assert evolve(platform, contracts, step).returncode != 0, step
        assert platform.json("run")["ok"], step
    done = evolve(platform, contracts)
    assert done.returncode == 0, done.stdout + done.stderr

    settled = [payment(f"ev-{n}", DAY, merchant_id="M1") for n in range(1, 9)]
    send(
        "gateway-after",
        [
            *settled,
            payment("ev-9", SAME_INSTANT, merchant_id="M1"),
            pending[1],
            payment("ev-new", DAY, merchant_id="M2"),
            payment("ev-blank", DAY, merchant_id=" "),
        ],
        closing={"INR": (12, "120.00")},
    )
    assert platform.json("run")["ok"]
    assert platform.rows(
        "select status, merchant_id, count(*) from raw.transactions where transaction_id like 'ev-%' "
        "group by 1, 2 order by 1, 2"
    ) == [("PENDING", None, 10), ("SUCCESS", "M1", 9), ("SUCCESS", "M2", 1)]
    assert platform.rows("select count(*) from raw.duplicates where transaction_id like 'ev-%'") == [(2,)]
    rejected = "select transaction_id, reasons from raw.rejected_transactions where transaction_id like 'ev-%'"
    assert platform.rows(rejected) == [("ev-blank", ["MERCHANT_ID_BLANK"])]
    day = "select distinct occurred_on::text from marts.fact_transactions where transaction_id = 'ev-9'"
    assert platform.rows(day) == [("2007-04-01",)]
    proof = platform.json("proof", "--full")
    assert {each["verdict"] for each in proof["equations"]} <= {"OK", "UNATTESTED"}, proof
    assert evolve(platform, contracts, "", "--dry-run").stdout.startswith("every contract is in force")
