"""A day's batch goes into the books once, and the marts say of it what its files say, to the cent."""

import csv
import io
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.services, pytest.mark.timeout(1200)]

# No other test of this platform has payments of these days.
DAYS = ("2025-02-27", "2025-03-01")
MISSING = "2025-02-28"
FIGURES = f"""
select occurred_on::text, attempt_count, revenue::text, fee_revenue::text, failure_rate::text,
    average_processing_seconds::text, fast_count, medium_count, slow_count
from marts.daily_processing_summary where occurred_on between '{DAYS[0]}' and '{DAYS[-1]}' order by 1
"""


def rows_of(platform: Any, *path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(Path(platform.home, "data", "raw", *path).read_text())))


def wanted(platform: Any, day: str) -> tuple[Any, ...]:
    """Return a day's figures, counted from its files."""
    fees = {row["channel_key"]: Decimal(row["fee_percent"]) for row in rows_of(platform, "channels.csv")}
    rows = rows_of(platform, *day.split("-"), "transactions.csv")
    good = [row for row in rows if row["status"] == "success"]
    cent = Decimal("0.01")
    earned = sum(
        (Decimal(row["amount"]) * fees[row["channel_key"]] / 100).quantize(cent, ROUND_HALF_EVEN) for row in good
    )
    seconds = [Decimal(row["processing_time"]) for row in rows]
    return (
        day,
        len(rows),
        f"{sum(Decimal(row['amount']) for row in good):.4f}",
        f"{earned:.4f}",
        f"{Decimal(len(rows) - len(good)) / len(rows):.6f}",
        f"{sum(seconds) / len(rows):.4f}",
        sum(each < 1 for each in seconds),
        sum(1 <= each < 3 for each in seconds),
        sum(each >= 3 for each in seconds),
    )


def test_days_are_in_the_marts_as_their_files_say_and_only_once(platform: Any) -> None:
    for day in DAYS:
        platform.tieout("batch", "generate", "--date", day)
    said = [platform.json("batch", "run", "--date", day) for day in DAYS]
    assert [each["sent"]["outcome"] for each in said] == ["sent", "sent"]
    assert [each["cleaned"]["kept"] for each in said] == [500, 500]
    assert all(each["run"]["ok"] for each in said)
    assert [each["missing"] for each in said] == [[], [MISSING]]
    figures = platform.rows(FIGURES)
    assert figures == [wanted(platform, day) for day in DAYS]
    segments = dict(
        platform.rows("select customer_id, given_segment from marts.dim_customers where customer_id ~ '^B'")
    )
    known = {f"B{row['customer_key']}": row["segment"] for row in rows_of(platform, "customers.csv")}
    assert len(segments) > 500
    assert segments.items() <= known.items()

    again = platform.json("batch", "run", "--date", DAYS[0], "--send-only")
    assert (again["sent"]["outcome"], again["run"]) == ("already sent", None)
    assert platform.json("run")["ok"]
    assert platform.rows(FIGURES) == figures
    e0 = [e for e in platform.json("proof")["equations"] if e["name"] == "E0" and e["scope"].get("feed") in
          {each["sent"]["run"] for each in said}]  # fmt: skip
    assert {e["verdict"] for e in e0} == {"OK"}
    assert len(e0) >= 2


def test_a_day_without_a_file_is_reported_with_the_command_that_goes_on(platform: Any) -> None:
    done = platform.script("tieout", "batch", "run", "--date", MISSING)
    assert done.returncode == 1
    assert f"there is no batch of {MISSING}" in done.stderr
    assert "./scripts/tieout batch generate" in done.stderr
    assert done.stderr.count("failed") == 2
    assert MISSING in platform.tieout("batch", "list")


def test_another_file_for_a_day_that_was_sent_is_refused_until_it_is_called_a_new_version(platform: Any) -> None:
    file = Path(platform.home, "data", "raw", *DAYS[0].split("-"), "transactions.csv")
    file.write_text(file.read_text() + "T2025022700501,20250227,1,1,1,10.00,success,0.5\n")
    done = platform.script("tieout", "batch", "run", "--date", DAYS[0], "--send-only")
    assert done.returncode == 78
    assert "--changed" in done.stderr
    said = platform.json("batch", "run", "--date", DAYS[0], "--changed")
    assert said["run"]["ok"]
    assert platform.rows(FIGURES)[0] == wanted(platform, DAYS[0])
