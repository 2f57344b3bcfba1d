"""What the summary said is told again exactly: before late settlements, across full refreshes, at every moment."""

import csv
import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from warehouse.restate import cli, list_pending, restate
from warehouse.restate.moments import RestateError, UnsettledError
from warehouse.restate.states import MEASURES

pytestmark = pytest.mark.services

OLD = datetime(2026, 1, 1, 12, tzinfo=UTC)
Figures = dict[tuple[str, str, str], dict[str, Decimal]]


def summary(marts: Any) -> Figures:
    """Return what the daily summary says now, by day, currency and category."""
    sums = ", ".join(f"sum({name}) as {name}" for name in MEASURES)
    rows = marts.sql(
        f"select occurred_on::text, currency, merchant_category, {sums} from marts.daily_revenue_summary group by 1, 2, 3"
    )
    return {
        (row["occurred_on"], row["currency"], row["merchant_category"]): {name: Decimal(row[name]) for name in MEASURES}
        for row in rows
    }


def told(result: dict[str, Any], now: Figures, side: str) -> Figures:
    """Return the whole summary of a moment, as a restatement tells it: what it says now but for the rows it names."""
    figures = dict(now)
    for row in result["rows"]:
        key = (row["occurred_on"], row["currency"], row["merchant_category"])
        figures[key] = {name: Decimal(str(row[side][name])) for name in MEASURES}
        assert row["difference"] != dict.fromkeys(MEASURES)
    return {key: row for key, row in figures.items() if any(row.values())}


def now() -> datetime:
    return datetime.now(UTC)


def many(rng: random.Random, payment: Any, first: int, count: int) -> list[dict[str, Any]]:
    return [
        payment(
            f"t{n:03}",
            rng.choice(["PENDING", "SUCCESS", "FAILED"]),
            occurred_at=OLD + timedelta(hours=rng.randrange(72)),
            amount=f"{rng.randrange(1, 10**6) / 100:.2f}",
            currency=rng.choice(["INR", "USD"]),
            merchant_category=rng.choice(["food", "travel"]),
            payment_method=rng.choice(["UPI", "Credit Card", "Wallet"]),
            is_fraud=rng.random() < 0.2,
            utc_offset_minutes=330,
        )
        for n in range(first, first + count)
    ]


def settle(row: dict[str, Any], status: str, after: timedelta) -> dict[str, Any]:
    at = row["occurred_at"] + after
    reason = "DECLINED" if status == "FAILED" else None
    return {**row, "status": status, "failure_reason": reason, "status_at": at, "known_at": at + timedelta(minutes=1)}


def test_a_settlement_forty_days_late_restates_its_own_day_and_every_moment_is_told_as_it_was(
    marts: Any, payment: Any, tmp_path: Path
) -> None:
    rng = random.Random(3)
    first = many(rng, payment, 0, 60)
    late = payment("late", "PENDING", occurred_at=OLD, amount="1234.56", payment_method="UPI")
    before_all = now()
    marts.load([*first, late])
    marts.build()
    moments: list[tuple[datetime, Figures]] = [(now(), summary(marts))]

    open_ones = [row for row in first if row["status"] == "PENDING"]
    assert len(open_ones) > 10
    marts.load(many(rng, payment, 100, 40))
    marts.load([settle(row, rng.choice(["SUCCESS", "FAILED"]), timedelta(hours=5)) for row in open_ones[:8]])
    marts.build()
    moments.append((now(), summary(marts)))
    only_late = now()

    load = marts.load([settle(late, "SUCCESS", timedelta(days=40))])
    marts.build()
    moments.append((now(), summary(marts)))

    # The one late settlement: its own day, by its id, with what it was and is.
    result = restate(only_late, transactions=tmp_path / "why.csv")
    assert [(r["transaction_id"], r["was"], r["is"], r["load_id"]) for r in result["transactions"]] == [
        ("late", "PENDING", "SUCCESS", load)
    ]
    assert result["transaction_counts"] == {"settled": 1, "new": 0}
    (row,) = result["rows"]
    assert (row["occurred_on"], row["currency"], row["merchant_category"]) == ("2026-01-01", "INR", "food")
    assert row["restated"]
    assert (row["difference"]["pending_count"], row["difference"]["success_count"]) == (-1, 1)
    assert (row["difference"]["pending_amount"], row["difference"]["success_amount"]) == ("-1234.5600", "1234.5600")
    with (tmp_path / "why.csv").open(newline="") as file:
        assert [line["transaction_id"] for line in csv.DictReader(file)] == ["late"]
    assert (tmp_path / "why.csv").stat().st_mode & 0o777 == 0o600

    marts.remember()
    marts.load(many(rng, payment, 200, 20))
    marts.build(full_refresh=True)
    moments.append((now(), summary(marts)))
    whole = moments[-1][1]

    assert len({json.dumps(list(map(str, figures.items()))) for _, figures in moments}) == len(moments)
    for number, (at, figures) in enumerate(moments):
        assert told(restate(at), whole, "then") == figures
        for later, other in moments[number:]:
            between = restate(at, later)
            assert told(between, other, "then") == figures
            assert all(
                other.get(
                    (r["occurred_on"], r["currency"], r["merchant_category"]), dict.fromkeys(MEASURES, Decimal(0))
                )
                == {name: Decimal(str(r["now"][name])) for name in MEASURES}
                for r in between["rows"]
            )
    assert restate(now())["rows"] == []
    from_nothing = restate(before_all)
    assert from_nothing["as_of"]["build_id"] is None
    assert told(from_nothing, whole, "then") == {}
    assert from_nothing["transaction_counts"]["new"] == 121


def test_the_increments_with_a_late_settlement_equal_a_full_refresh_and_the_tables_can_be_read(
    marts: Any, payment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = payment("late", "PENDING", occurred_at=OLD, amount="10.00")
    fresh = payment("fresh", "PENDING", occurred_at=OLD + timedelta(days=38), status_at=OLD + timedelta(days=38))
    stays = payment("stays", "PENDING", occurred_at=OLD, amount="77.10", currency="USD")
    marts.load([late, stays])
    marts.build()
    at = now()
    assert (
        list_pending("3d", 10)["count"] == 0
    )  # a thousand years may pass: the data's newest status is these payments'
    marts.load([fresh, payment("other", occurred_at=OLD + timedelta(days=40))])
    assert [row["transaction_id"] for row in list_pending("3d", 10)["transactions"]] == ["late", "stays"]
    marts.load([settle(late, "FAILED", timedelta(days=40))])
    marts.build()

    open_ones = list_pending("3d", 10)
    assert [(t["currency"], t["count"], t["amount"]) for t in open_ones["totals"]] == [("USD", 1, "77.1000")]
    assert open_ones["transactions"][0]["age_seconds"] == 40 * 86_400
    assert list_pending("1d", 1)["count"] == 2
    assert len(list_pending("1d", 1)["transactions"]) == 1

    app = typer.Typer()
    cli.mount(app)
    runner = CliRunner()
    shown = runner.invoke(app, ["restate", "--as-of", at.isoformat()])
    assert shown.exit_code == 0, shown.output
    assert "late" in shown.stdout
    assert "1 figures restated" in shown.stdout
    printed = runner.invoke(app, ["restate", "--as-of", at.isoformat(), "--csv"])
    rows = list(csv.DictReader(printed.stdout.splitlines()))
    assert {(row["failed_count_then"], row["failed_count_difference"]) for row in rows} >= {("0", "1")}
    assert "stays" in runner.invoke(app, ["pending"]).stdout
    for wrong in (["restate", "--as-of", "2026-01-01T00:00"], ["pending", "--older-than", "3 days"]):
        assert runner.invoke(app, wrong).exit_code == 2

    marts.remember()
    marts.build(full_refresh=True)
    assert marts.differences() == {}


def test_without_a_summary_or_between_two_builds_nothing_is_told(marts: Any, payment: Any) -> None:
    with pytest.raises(RestateError, match="there is no daily summary yet"):
        restate(now())
    marts.load([payment("a")])
    marts.build()
    marts.sql_only("update marts.fact_transactions set status = 'FAILED' where transaction_id = 'a'")
    with pytest.raises(RestateError, match="such as a"):
        restate(OLD)
    marts.sql_only("update metadata.consumer_watermarks set seq = seq + 1 where consumer = 'fact_transactions'")
    with pytest.raises(UnsettledError, match="behind the fact"):
        restate(now())
