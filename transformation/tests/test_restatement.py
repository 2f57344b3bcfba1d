"""What the summary said is told again exactly: before late settlements, across full refreshes, at every moment."""

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer
from typer.testing import CliRunner

from control.roles import dsn, ensure_roles
from warehouse.migrate import let_reader_read_marts, migrate
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
        f"select occurred_on::text, currency, merchant_category, {sums}"
        " from marts.daily_revenue_summary group by 1, 2, 3"
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


def many(rng: random.Random, payment: Any, first: int, count: int, days: int = 0) -> list[dict[str, Any]]:
    return [
        payment(
            f"t{n:03}",
            rng.choice(["PENDING", "SUCCESS", "FAILED"]),
            occurred_at=OLD + timedelta(days=days, hours=rng.randrange(48)),
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


@dataclass
class Story:
    """Four builds over silver that grows, with what the summary said behind each.

    Attributes:
        moments: behind each build.
        load: the one that brought the settlement that is forty days late.
        drifted: rows of marts in which the increments differ from a full refresh.
    """

    marts: Any
    begun: datetime
    moments: list[tuple[datetime, Figures]]
    before_late: datetime
    load: int
    drifted: dict[str, int]
    pending: list[dict[str, Any]]

    @property
    def now(self) -> Figures:
        return self.moments[-1][1]


@pytest.fixture(scope="module")
def story(database: Any, payment: Any) -> Iterator[Story]:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in database.env.items():
            patched.setenv(name, value)
        with psycopg.connect(dsn(database.env, "postgres", "postgres"), autocommit=True) as db:
            db.execute("drop database if exists payments with (force)")
        ensure_roles(database.env)
        migrate(dsn(database.env, "owner"))
        let_reader_read_marts(dsn(database.env, "dbt"))
        with pytest.raises(RestateError, match="there is no daily summary yet"):
            restate(now())
        yield tell(type(database)(database.layout, database.env), payment)


def tell(marts: Any, payment: Any) -> Story:
    rng, begun = random.Random(3), now()
    first = many(rng, payment, 0, 60)
    late = payment("late", "PENDING", occurred_at=OLD, amount="1234.56", payment_method="UPI")
    marts.load([*first, late])
    marts.build()
    moments = [(now(), summary(marts))]
    pending = [list_pending("3d", 1000)]

    open_ones = [row for row in first if row["status"] == "PENDING"]
    assert len(open_ones) > 10
    marts.load([settle(row, rng.choice(["SUCCESS", "FAILED"]), timedelta(hours=5)) for row in open_ones[:8]])
    marts.load(many(rng, payment, 100, 40, days=38))
    marts.build()
    moments.append((now(), summary(marts)))
    pending.append(list_pending("3d", 1000))

    before_late = now()
    load = marts.load([settle(late, "SUCCESS", timedelta(days=40))])
    marts.build()
    moments.append((now(), summary(marts)))
    pending.append(list_pending("3d", 1000))

    marts.remember()
    marts.build(full_refresh=True)
    moments.append((now(), summary(marts)))
    return Story(marts, begun, moments, before_late, load, marts.differences(), pending)


def test_a_settlement_forty_days_late_restates_its_own_day_and_is_named(story: Story, tmp_path: Path) -> None:
    result = restate(story.before_late, transactions=tmp_path / "why.csv")
    assert [(r["transaction_id"], r["was"], r["is"], r["load_id"]) for r in result["transactions"]] == [
        ("late", "PENDING", "SUCCESS", story.load)
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


def test_the_increments_with_a_late_settlement_equal_a_full_refresh_to_the_cent(story: Story) -> None:
    assert len(story.now) > 10
    assert story.drifted == {}


def test_every_moment_is_told_as_the_summary_was_also_across_a_full_refresh(story: Story) -> None:
    said = [figures for _, figures in story.moments]
    assert said[0] != said[1] != said[2] == said[3]
    nothing = dict.fromkeys(MEASURES, Decimal(0))
    for number, (at, figures) in enumerate(story.moments):
        assert told(restate(at), story.now, "then") == figures
        for later, other in story.moments[number:]:
            between = restate(at, later)
            assert told(between, other, "then") == figures
            for row in between["rows"]:
                key = (row["occurred_on"], row["currency"], row["merchant_category"])
                assert {name: Decimal(str(row["now"][name])) for name in MEASURES} == other.get(key, nothing)
    assert restate(now())["rows"] == []
    from_nothing = restate(story.begun)
    assert from_nothing["as_of"]["build_id"] is None
    assert told(from_nothing, story.now, "then") == {}
    assert from_nothing["transaction_counts"] == {"settled": 0, "new": 101}


def test_what_is_pending_is_as_old_as_the_datas_newest_status_makes_it(story: Story) -> None:
    # The first payments lie within three days, so at first none is older: what today's clock says does not count.
    assert [found["count"] for found in story.pending] == [0, len(still_open(story)) + 1, len(still_open(story))]
    listed = [row["transaction_id"] for row in story.pending[1]["transactions"]]
    assert set(listed) == {*still_open(story), "late"}
    totals = story.pending[1]["totals"]
    amounts = {c: Decimal(0) for c in ("INR", "USD")}
    for row in story.pending[1]["transactions"]:
        amounts[row["currency"]] += Decimal(row["amount"])
    assert {total["currency"]: Decimal(total["amount"]) for total in totals} == amounts
    few = list_pending("1d", 1)
    assert len(few["transactions"]) == 1 < few["count"]


def still_open(story: Story) -> set[str]:
    rows = story.marts.sql(
        "select transaction_id from marts.fact_transactions where status = 'PENDING' and transaction_id < 't100'"
    )
    return {row["transaction_id"] for row in rows}


def test_people_get_tables_and_programs_get_csv(story: Story) -> None:
    app = typer.Typer()
    cli.mount(app)
    runner = CliRunner()
    at = story.before_late.isoformat()
    shown = runner.invoke(app, ["restate", "--as-of", at])
    assert shown.exit_code == 0, shown.output
    assert "late " in shown.stdout
    assert "1 figures restated" in shown.stdout
    rows = list(csv.DictReader(runner.invoke(app, ["restate", "--as-of", at, "--csv"]).stdout.splitlines()))
    assert [(row["success_amount_difference"], row["pending_count_difference"]) for row in rows] == [
        ("1234.5600", "-1")
    ]
    assert "PENDING for more than 3d" in runner.invoke(app, ["pending"]).stdout
    wrong = (["restate", "--as-of", "2026-01-01T00:00"], ["pending", "--older-than", "3 days"])
    for arguments in (*wrong, ["restate", "--as-of", at, "--vs", OLD.isoformat()]):
        assert runner.invoke(app, arguments).exit_code == 2


def test_a_fact_that_contradicts_silver_or_is_ahead_of_its_summary_tells_nothing(story: Story) -> None:
    try:
        story.marts.sql_only("update marts.fact_transactions set status = 'FAILED' where transaction_id = 'late'")
        with pytest.raises(RestateError, match="such as late"):
            restate(story.before_late)
        story.marts.sql_only(
            "update metadata.consumer_watermarks set seq = seq + 1 where consumer = 'fact_transactions'"
        )
        with pytest.raises(UnsettledError, match="behind the fact"):
            restate(story.before_late)
    finally:
        story.marts.sql_only(
            "update marts.fact_transactions set status = 'SUCCESS' where transaction_id = 'late'",
            "update metadata.consumer_watermarks set seq = seq - 1 where consumer = 'fact_transactions'",
        )
