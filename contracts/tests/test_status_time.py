"""A header is a claim: which time a status counts from, said in Python and in SQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.status_time import LATEST, STATUS_TIME_SQL, status_time

ARRIVED = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MADE = ARRIVED - timedelta(hours=3)
MOMENT = timedelta(microseconds=1)
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
NEAR = st.timedeltas(-timedelta(days=3), timedelta(days=3)).map(ARRIVED.__add__)


@pytest.fixture(scope="module")
def duck() -> Iterator[Any]:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        yield connection


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
    claim: datetime | None, counts_from: datetime
) -> None:
    assert status_time(claim, MADE, ARRIVED) == counts_from


@settings(max_examples=200, deadline=None)
@given(claim=st.none() | NEAR | TIMES, made=NEAR)
@example(claim=MADE - MOMENT, made=MADE)
@example(claim=ARRIVED + LATEST, made=MADE)
@example(claim=ARRIVED + LATEST + MOMENT, made=MADE)
def test_the_loader_counts_from_the_time_that_the_live_view_counts_from(
    duck: Any, claim: datetime | None, made: datetime
) -> None:
    delivered = "(select ?::timestamptz as status_at, ?::timestamptz as occurred_at, ?::timestamptz as arrived_at)"
    query = f"select {STATUS_TIME_SQL} from {delivered}"
    [(counts_from,)] = duck.execute(query, [claim, made, ARRIVED]).fetchall()
    assert counts_from == status_time(claim, made, ARRIVED)
