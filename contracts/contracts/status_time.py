"""Which time a status counts from: the one that header `status_at` claims, where it can be true, else the arrival.

It can be true when it is not before the payment and not more than a day after the arrival.
"""

from datetime import datetime, timedelta

LATEST = timedelta(days=1)

# The same for DuckDB, over a delivered event; a test holds the two against each other. Its '1 day' is 24 hours.
STATUS_TIME_SQL = (
    "case when status_at between occurred_at and arrived_at + interval '1 day' then status_at else arrived_at end"
)


def status_time(claim: datetime | None, occurred_at: datetime, arrived_at: datetime) -> datetime:
    """Return the time from which a status counts."""
    if claim is not None and occurred_at <= claim <= arrived_at + LATEST:
        return claim
    return arrived_at
