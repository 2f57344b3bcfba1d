"""Files of a team's own, by mapping, to the marts: every row of them is sent, refused or left out, and E0 says so."""

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from books import assert_every_offset_once, marts

from core.layout import CHECKOUT

pytestmark = [pytest.mark.services, pytest.mark.timeout(1500)]
SAMPLES = CHECKOUT / "data" / "samples"
ROWS = 1_500


def write(platform: Any, name: str, text: str) -> Path:
    path = Path(platform.home) / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    return path


@pytest.fixture(scope="module")
def files(platform: Any) -> Iterator[dict[Path, str]]:
    """Card payments with a row that cannot be read, a bank's with refunds, a processor's report; each by mapping."""
    with gzip.open(SAMPLES / "fraudTrain_33k.csv.gz", "rt", encoding="utf-8", newline="") as source:
        # Payments that no other test of this platform sends.
        lines = source.readlines()
    cards = write(platform, "cards to ingest.csv", "".join([lines[0], *lines[-ROWS:], "not,a,row\n"]))
    bank = write(platform, "bank.csv", (SAMPLES / "statements" / "card_transactions.csv").read_text(encoding="utf-8"))
    report = write(platform, "report.csv", (SAMPLES / "files" / "stripe_balance.csv").read_text(encoding="utf-8"))
    yield {cards: "card-fraud", bank: "card-bank", report: "stripe-balance"}
    # Other tests of this platform ask what another account may read of its home.
    for each in (cards, bank, report):
        each.unlink()


def ingest(platform: Any, file: Path, mapping: str) -> dict[str, Any]:
    said = platform.tieout("ingest", str(file), "--as", mapping, "--max-bad-rows", "1", "--json")
    found: dict[str, Any] = json.loads(said)
    return found


def money(platform: Any, table: str, run: str) -> dict[str, tuple[int, Decimal]]:
    rows = platform.rows(f"select currency, count(*), sum(amount) from {table} where run = '{run}' group by 1")
    return {currency: (count, amount) for currency, count, amount in rows}


def test_every_row_of_a_file_is_in_the_marts_or_rejected_or_refused_or_left_out(
    platform: Any, files: dict[Path, str]
) -> None:
    said = {file: ingest(platform, file, mapping) for file, mapping in files.items()}
    assert [each["outcome"] for each in said.values()] == ["sent"] * 3
    assert [each["rows"] for each in said.values()] == [ROWS + 1, 100, 6]
    assert [each["refused"]["rows"] for each in said.values()] == [1, 0, 0]
    assert [each["left_out"]["rows"] for each in said.values()] == [0, 0, 2]
    outcome = platform.json("run")
    assert outcome["ok"]
    for each in said.values():
        parts = [money(platform, table, each["run"]) for table in ("raw.transactions", "raw.rejected_transactions")]
        assert not money(platform, "raw.duplicates", each["run"])
        here = {c: (sum(p.get(c, (0, 0))[0] for p in parts), sum(p.get(c, (0, Decimal(0)))[1] for p in parts))
                for p in parts for c in p}  # fmt: skip
        amounts = each["sent"]["amounts"]
        assert here == {c: (m["count"], Decimal(m["amount"])) for c, m in amounts.items()}
        fact = platform.rows(
            "select f.currency, count(*), sum(f.amount) from marts.fact_transactions f "
            f"join raw.transactions t using (transaction_id) where t.run = '{each['run']}' group by 1"
        )
        assert {c: (count, amount) for c, count, amount in fact} == parts[0]
        lines = [line for line in outcome["proof"]["equations"] if line["scope"].get("feed") == each["run"]]
        assert {line["verdict"] for line in lines} == {"OK"}
        assert sum(line["left"]["count"] for line in lines) == each["rows"]
        assert {line["scope"]["rows"] for line in lines} == {each["rows"]}
    assert_every_offset_once(platform)


def test_the_same_files_again_change_nothing(platform: Any, files: dict[Path, str]) -> None:
    before = marts(platform)
    assert before["fact_transactions"][0] >= ROWS
    assert {ingest(platform, file, mapping)["outcome"] for file, mapping in files.items()} == {"already sent"}
    assert platform.json("run")["ok"]
    assert marts(platform) == before
