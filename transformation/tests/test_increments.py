"""What the increments add up to is what a full refresh computes, mart by mart."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytestmark = pytest.mark.services

CITIES = (("Pune", "Maharashtra", "IN"), ("Kochi", "Kerala", "IN"), ("Orient", "WA", "US"), (None, None, None))
CURRENCIES = {"USD": 2, "INR": 2, "JPY": 0, "KWD": 3}
METHODS = ("Credit Card", "Debit Card", "UPI", "Net Banking", "Wallet")


def statuses_of(rng: random.Random, number: int) -> list[dict[str, Any]]:
    """Return the events of one payment in the order in which they arrive."""
    currency = rng.choice(list(CURRENCIES))
    digits = CURRENCIES[currency]
    city, state, country = rng.choice(CITIES)
    occurred_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=rng.randrange(60 * 24 * 60))
    same = {
        "customer_id": f"customer-{rng.randrange(12)}",
        "merchant_name": rng.choice(["Chai Point", "Metro", "Ærø & Søn"]),
        "merchant_category": rng.choice(["food", "travel"]),
        "amount": f"{rng.randrange(1, 10**6) / 10**digits:.{digits}f}",
        "currency": currency,
        "payment_method": rng.choice(METHODS),
        "occurred_at": occurred_at,
        "city": city,
        "state": state,
        "country": country,
        "is_fraud": rng.choice([True, *[False] * 9, None]),
    }
    final = rng.choice(["SUCCESS", "SUCCESS", "FAILED"])
    path = rng.choice([[final], [final], ["PENDING"], ["PENDING", final], [final, "PENDING"]])
    delays = sorted(timedelta(hours=rng.choice([0, 1, 30, 40 * 24]), seconds=rng.randrange(99)) for _ in path)
    return [
        {
            "transaction_id": f"t{number}",
            "status": status,
            # A settlement may be written in another zone than its payment.
            "utc_offset_minutes": rng.choice([0, 330, -480]),
            "status_at": occurred_at + rng.choice(delays),
            "known_at": occurred_at + delay,
            # Nothing holds two statuses to the same optional fields.
            "processing_seconds": rng.choice([None, "0.25", "1.5", "12"]),
            "customer_segment": rng.choice([None, "Retail", "SMB"]),
            "fee_percent": rng.choice([None, None, "2.5", "0.0125"]),
            **same,
        }
        for status, delay in zip(path, delays, strict=True)
    ]


def shuffled_loads(rng: random.Random, payments: int, loads: int) -> list[list[dict[str, Any]]]:
    """Spread payments over loads: the statuses of one stay in order, maybe many loads apart."""
    spread: list[list[dict[str, Any]]] = [[] for _ in range(loads)]
    for number in range(payments):
        rows = statuses_of(rng, number)
        for at, row in zip(sorted(rng.randrange(loads) for _ in rows), rows, strict=True):
            spread[at].append(row)
    return spread


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_increments_equal_a_full_refresh_for_every_mart(marts: Any, payment: Any, seed: int) -> None:
    rng = random.Random(seed)
    built = 0
    for rows in shuffled_loads(rng, payments=600, loads=9):
        marts.load([payment(**row) for row in rows])
        if rng.random() < 0.6:
            built += marts.build()["status"] == "SUCCESS"
    marts.build()
    assert built >= 2
    assert marts.sql("select count(*) as n from metadata.fact_changes where old_status is not null")[0]["n"] > 0
    marts.remember()

    report = marts.build(full_refresh=True)

    assert report["full_refresh"]
    assert marts.sql("select count(*) as n from marts.fact_transactions")[0]["n"] == 600
    assert marts.differences() == {}


def test_a_settlement_that_comes_forty_days_late_is_not_lost(marts: Any, payment: Any) -> None:
    old = datetime(2026, 1, 1, 12, tzinfo=UTC)
    marts.load([payment("late", "PENDING", occurred_at=old)])
    marts.build()
    marts.load([payment(f"new-{n}", occurred_at=old + timedelta(days=40)) for n in range(20)])
    marts.build()
    marts.load([payment("late", "SUCCESS", occurred_at=old, status_at=old + timedelta(days=40))])
    marts.build()

    fact = marts.sql("select status, settlement_seconds from marts.fact_transactions where transaction_id = 'late'")
    assert fact == [{"status": "SUCCESS", "settlement_seconds": 40 * 86400}]
    day = marts.sql(
        "select pending_count, success_count from marts.daily_revenue_totals where occurred_on = '2026-01-01'"
    )
    assert day == [{"pending_count": 0, "success_count": 1}]


def test_a_second_build_changes_nothing(marts: Any, payment: Any) -> None:
    marts.load([payment("a"), payment("b", "PENDING")])
    marts.build()
    marts.remember()
    log = marts.sql("select count(*) as n from metadata.fact_changes")

    assert marts.build()["status"] == "UNCHANGED"
    assert marts.differences() == {}
    assert marts.sql("select count(*) as n from metadata.fact_changes") == log
    assert len(marts.sql("select 1 from metadata.builds")) == 1


def test_a_load_that_is_not_of_this_build_stays_out_of_the_fact(marts: Any, payment: Any) -> None:
    marts.load([payment("a", "PENDING")])
    marts.load([payment("a", "SUCCESS")], status="RUNNING")
    marts.load([payment("b")])
    marts.build()
    assert marts.sql("select transaction_id, status from marts.fact_transactions order by 1") == [
        {"transaction_id": "a", "status": "PENDING"},
        {"transaction_id": "b", "status": "SUCCESS"},
    ]


def test_a_settlement_in_another_zone_leaves_the_payment_on_its_day(marts: Any, payment: Any) -> None:
    evening = datetime(2026, 3, 10, 20, 0, tzinfo=UTC)
    marts.load([payment("z", "PENDING", occurred_at=evening, utc_offset_minutes=330)])
    marts.build()
    marts.load([payment("z", "SUCCESS", occurred_at=evening, utc_offset_minutes=0)])
    marts.build()
    fact = marts.sql("select occurred_on::text, hour_of_day, status from marts.fact_transactions")
    assert fact == [{"occurred_on": "2026-03-11", "hour_of_day": 1, "status": "SUCCESS"}]
