"""A header is a claim: which time a status counts from, in SQL, and here in Python to compare with."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.rules import STATUS_TIME

ARRIVED = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MADE = ARRIVED - timedelta(hours=3)
MOMENT = timedelta(microseconds=1)
LATEST = timedelta(days=1)
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
NEAR = st.timedeltas(-timedelta(days=3), timedelta(days=3)).map(ARRIVED.__add__)


@pytest.fixture(scope="module")
def duck() -> Iterator[Any]:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        yield connection


def counted_from(duck: Any, claim: datetime | None, made: datetime) -> Any:
    delivered = "(select ?::timestamptz as status_at, ?::timestamptz as occurred_at, ?::timestamptz as arrived_at)"
    return duck.execute(f"select {STATUS_TIME} from {delivered}", [claim, made, ARRIVED]).fetchall()[0][0]


@pytest.mark.parametrize(
    ("claim", "counts_from"),
    [
        (None, ARRIVED),
        (MADE, MADE),
        (MADE - MOMENT, ARRIVED),
        (ARRIVED + LATEST, ARRIVED + LATEST),
        (ARRIVED + LATEST + MOMENT, ARRIVED),
        (datetime(2099, 1, 1, tzinfo=UTC), ARRIVED),
        (datetime.max.replace(tzinfo=UTC), ARRIVED),
        (datetime.min.replace(tzinfo=UTC), ARRIVED),
    ],
)
def test_a_claim_counts_from_the_payment_to_a_day_after_the_arrival(
    duck: Any, claim: datetime | None, counts_from: datetime
) -> None:
    assert counted_from(duck, claim, MADE) == counts_from


@settings(max_examples=200, deadline=None)
@given(claim=st.none() | NEAR | TIMES, made=NEAR)
@example(claim=MADE - MOMENT, made=MADE)
@example(claim=ARRIVED + LATEST, made=MADE)
@example(claim=ARRIVED + LATEST + MOMENT, made=MADE)
def test_a_status_counts_from_its_claim_only_where_it_can_be_true(
    duck: Any, claim: datetime | None, made: datetime
) -> None:
    can_be_true = claim is not None and made <= claim <= ARRIVED + LATEST
    assert counted_from(duck, claim, made) == (claim if can_be_true else ARRIVED)
