"""A customer's segment moves with time; the summary by segment moves the whole history along."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytestmark = pytest.mark.services

NEW_YEAR = datetime(2026, 1, 1, 12, tzinfo=UTC)
BY_SEGMENT = (
    "select segment, sum(success_count)::int as payments, sum(success_amount)::text as amount"
    " from marts.daily_segment_totals group by segment order by segment"
)


def told(marts: Any) -> dict[str, tuple[int, str]]:
    return {row["segment"]: (row["payments"], row["amount"]) for row in marts.sql(BY_SEGMENT)}


def test_whoever_changes_the_segment_takes_the_whole_history_along(marts: Any, payment: Any) -> None:
    def pays(name: str, customer: str, days: int, **fields: Any) -> dict[str, Any]:
        return payment(name, customer_id=customer, occurred_at=NEW_YEAR + timedelta(days=days), **fields)

    marts.load([pays("a1", "gone", 0), pays("a2", "gone", 3, status="PENDING"), pays("b1", "faithful", 0)])
    marts.build()
    assert told(marts) == {"NEW": (2, "200.0000")}

    # Forty days on: who has not come again is AT_RISK, and so are all payments that ever were theirs. One settles late.
    marts.load([pays("a2", "gone", 3), pays("b2", "faithful", 40), pays("c1", "fresh", 40)])
    assert marts.build()["full_refresh"] is False
    assert told(marts) == {"ACTIVE": (2, "200.0000"), "AT_RISK": (2, "200.0000"), "NEW": (1, "100.0000")}

    marts.load([pays("b3", "faithful", 120)])
    assert marts.build()["full_refresh"] is False
    assert told(marts) == {"ACTIVE": (3, "300.0000"), "AT_RISK": (1, "100.0000"), "LAPSED": (2, "200.0000")}
    left = "select count(*) as n from marts.daily_segment_totals where success_count + failed_count + pending_count = 0"
    assert marts.sql(left) == [{"n": 0}]

    marts.remember()
    marts.build(full_refresh=True)
    assert marts.differences() == {}
