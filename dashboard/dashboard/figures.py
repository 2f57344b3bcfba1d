"""Figures from sums: exact, in Decimal, from the rows of the day to what is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

Row = Mapping[str, Any]
WEEK = 7


def ratio(part: Decimal | int, whole: Decimal | int) -> Decimal | None:
    """Return part through whole; None where there is no whole."""
    return Decimal(part) / Decimal(whole) if whole else None


def rounded(value: Decimal, digits: int) -> Decimal:
    """Return the value half even, as every amount of the platform is rounded."""
    return value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Figures:
    """The sums of a period, and the ratios that follow from them."""

    fee_revenue: Decimal
    gross: Decimal
    count: int
    success_count: int
    failed_count: int
    delayed_count: int
    delayed_seconds: int

    @property
    def failure_rate(self) -> Decimal | None:
        """FAILED among what has settled."""
        return ratio(self.failed_count, self.success_count + self.failed_count)

    @property
    def average_ticket(self) -> Decimal | None:
        """Successful amount through successful count."""
        return ratio(self.gross, self.success_count)

    @property
    def processing_seconds(self) -> Decimal | None:
        """Average seconds from PENDING to the final status, of the payments that were pending."""
        return ratio(self.delayed_seconds, self.delayed_count)


def figures(rows: Sequence[Row], first_day: date, last_day: date) -> Figures:
    """Add up the days of a period."""
    within = [row for row in rows if first_day <= row["occurred_on"] <= last_day]

    def total(name: str) -> Any:
        return sum((row[name] for row in within), 0)

    return Figures(
        fee_revenue=Decimal(total("fee_revenue")),
        gross=Decimal(total("success_amount")),
        count=total("success_count") + total("failed_count") + total("pending_count"),
        success_count=total("success_count"),
        failed_count=total("failed_count"),
        delayed_count=total("delayed_count"),
        delayed_seconds=total("delayed_seconds"),
    )


def with_moving_averages(rows: Sequence[Row], first_day: date, last_day: date) -> list[dict[str, Any]]:
    """Return a row for every day of a period, with the averages over that day and the six before.

    A day without payments has a revenue of zero. The failure rate of a week is its failures through its settled
    payments, never an average of daily rates.
    """
    known = {row["occurred_on"]: row for row in rows}
    found = []
    for number in range((last_day - first_day).days + 1):
        day = first_day + timedelta(days=number)
        week = [known[each] for back in range(WEEK) if (each := day - timedelta(days=back)) in known]
        today = figures(week, day, day)
        seven = figures(week, day - timedelta(days=WEEK - 1), day)
        found.append(
            {
                "day": day,
                "fee_revenue": today.fee_revenue,
                "revenue_7_days": seven.fee_revenue / WEEK,
                "gross": today.gross,
                "count": today.count,
                "failure_rate": today.failure_rate,
                "failure_rate_7_days": seven.failure_rate,
            }
        )
    return found


def change(now: Decimal | int | None, before: Decimal | int | None) -> Decimal | None:
    """Return by what share a figure changed; None where the period before has nothing to compare with."""
    if now is None or before is None or not before:
        return None
    return (Decimal(now) - Decimal(before)) / Decimal(before)
