"""The gateway's own statement against the platform's books: nothing to find, or exactly what was damaged."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.services, pytest.mark.timeout(1500)]

# Days that no other test of this platform uses; the feed is sent twice.
FEED = ("--seed", "41", "--start", "2021-03-05T12:00:00Z", "--total", "600", "--faults", "0.2")


@pytest.fixture(scope="module")
def statements(platform: Any) -> list[Path]:
    for _ in range(2):
        platform.tieout("produce", *FEED, "--timeline", "last:2d", "--rate", "0")
    platform.tieout("run")
    files = sorted((platform.home / "data" / "batch_files").glob("gateway-2021-03-*.csv"))
    assert len(files) == 3
    return files


def reconcile(platform: Any, file: Path) -> tuple[int, dict[str, Any]]:
    done = platform.script("tieout", "reconcile", str(file), "--json")
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_gateways_own_statement_agrees_with_the_books(platform: Any, statements: list[Path]) -> None:
    matched = 0
    for file in statements:
        code, result = reconcile(platform, file)
        assert (code, result["differences"], result["footer"]["verdict"]) == (0, [], "AGREES"), file.name
        assert result["waiting_for_build"] == 0
        assert result["lines"] == result["matched"] > 0
        matched += result["matched"]
    assert 400 < matched < 600  # a fifth was broken on purpose, and nothing is there twice


def test_of_a_damaged_copy_exactly_the_damage_is_found(platform: Any, statements: list[Path], tmp_path: Path) -> None:
    with max(statements, key=lambda path: path.stat().st_size).open(newline="") as file:
        rows = list(csv.reader(file))
    lost, changed = rows.pop(5), rows[9]
    changed[1] = changed[1][:-1] + str((int(changed[1][-1]) + 1) % 10)
    rows.insert(20, rows[20])
    path = tmp_path / "damaged.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    code, result = reconcile(platform, path)
    assert code == 1
    assert {(row["kind"], row["transaction_id"], row["line"]) for row in result["differences"]} == {
        ("MISSING_WITH_THEM", lost[0], None),
        ("AMOUNT_DIFFERS", changed[0], 10),
        ("DUPLICATE_IN_FILE", rows[20][0], 22),
    }
    assert result["footer"]["verdict"] == "DIFFERS"
    kept = platform.rows(
        f"select count(*) from metadata.reconciliation_differences where run_id = '{result['run_id']}'"
    )
    assert kept == [(3,)]


def test_a_file_that_is_no_statement_is_refused_with_its_place(platform: Any, tmp_path: Path) -> None:
    path = tmp_path / "comma.csv"
    path.write_text('transaction_id,amount,currency,status,date\nx,"1,50",EUR,SUCCESS,2021-03-04\n')
    done = platform.script("tieout", "reconcile", str(path))
    assert done.returncode == 1
    assert "comma.csv line 2, column amount: '1,50' is no plain decimal number." in done.stderr
    assert "Next: --decimal , " in done.stderr
    assert done.stdout == ""
