"""Refunds in the marts: what their payment says of them, also when it comes later, and what is to be looked at."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

pytestmark = pytest.mark.services

FACT = "select merchant_category, payment_channel, is_payment_known from marts.fact_refunds where refund_id = %s"


def of_refund(marts: Any, refund_id: str) -> tuple[Any, ...]:
    with marts.connect() as db:
        row = db.execute(FACT, [refund_id]).fetchone()
    return tuple(row.values()) if row else ()


def test_a_payment_that_comes_after_its_refund_gives_it_category_and_channel(
    marts: Any, payment: Any, refund: Any
) -> None:
    marts.load([payment("other")])
    marts.load([refund("r1", "p1")], entity="refunds")
    marts.build()
    assert of_refund(marts, "r1") == ("unknown", "unknown", False)
    assert marts.sql("select refund_id, exception from marts.refund_exceptions") == [
        {"refund_id": "r1", "exception": "NO_PAYMENT"}
    ]
    marts.load([payment("p1", merchant_category="travel", payment_method="UPI")])
    marts.build()
    assert of_refund(marts, "r1") == ("travel", "UPI", True)
    assert marts.sql("select 1 from marts.refund_exceptions") == []
    assert (
        marts.sql(
            "select 1 from metadata.load_audit where load_id not in (select load_id from metadata.processed_loads)"
        )
        == []
    )


def test_a_day_has_its_own_refunds_and_net_amount(marts: Any, payment: Any, refund: Any) -> None:
    marts.load([payment("p1"), payment("p2", occurred_at=datetime(2026, 3, 12, 9, tzinfo=UTC))])
    marts.load([refund("r1", "p1"), refund("r2", "p1", "FAILED"), refund("r3", "p2", "PENDING")], entity="refunds")
    marts.build()
    days = marts.sql(
        "select occurred_on::text as day, success_amount, refunded_count, refunded_amount, net_amount "
        "from marts.daily_revenue_summary order by 1"
    )
    assert [tuple(day.values()) for day in days] == [
        ("2026-03-10", Decimal(100), 0, Decimal(0), Decimal(100)),
        ("2026-03-12", Decimal(100), 1, Decimal(40), Decimal(60)),
    ]


def test_what_is_above_the_payment_or_in_another_currency_is_listed(marts: Any, payment: Any, refund: Any) -> None:
    marts.load([payment("p1"), payment("p2"), payment("p3")])
    marts.load(
        [
            *(refund(f"above-{n}", "p1", amount="50.01") for n in (1, 2)),
            *(refund(f"fits-{n}", "p2", amount="50.00") for n in (1, 2)),
            refund("failed", "p2", "FAILED", amount="1.00"),
            refund("dollars", "p3", currency="USD"),
        ],
        entity="refunds",
    )
    marts.build()
    listed = marts.sql("select refund_id, exception from marts.refund_exceptions order by 1")
    assert [tuple(row.values()) for row in listed] == [
        ("above-1", "ABOVE_PAID"),
        ("above-2", "ABOVE_PAID"),
        ("dollars", "OTHER_CURRENCY"),
    ]


def test_increments_of_refunds_equal_a_full_refresh(marts: Any, payment: Any, refund: Any) -> None:
    rng = random.Random(7)
    marts.load([payment("p0")])
    marts.build()
    for turn in range(6):
        made = [payment(f"p{turn}-{n}", merchant_category=rng.choice(["food", "travel"])) for n in range(20)]
        asked = [
            refund(
                f"r{turn}-{n}", f"p{rng.randrange(7)}-{rng.randrange(20)}", rng.choice(["PENDING", "SUCCESS"]),
                occurred_at=datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=rng.randrange(600)),
            )
            for n in range(15)
        ]  # fmt: skip
        settled = [
            {**row, "status": "FAILED", "known_at": row["known_at"] + timedelta(hours=1)}
            for row in asked
            if row["status"] == "PENDING" and rng.random() < 0.5
        ]
        for rows, entity in sorted([(made, "transactions"), (asked, "refunds")], key=lambda _: rng.random()):
            marts.load(rows, entity=entity)
        if rng.random() < 0.7:
            marts.build()
        marts.load(settled, entity="refunds")
    marts.build()
    marts.remember()
    assert marts.sql("select count(*) as n from marts.fact_refunds where is_payment_known")[0]["n"] > 10
    assert marts.build(full_refresh=True)["full_refresh"]
    assert marts.differences() == {}
