"""Events that could not be handled: written down by where they stand, so that one event never stops the service."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any

import psycopg

from live.events import Event
from live.trouble import trouble_of

Connection = psycopg.Connection[Any]

COUNTING, ALERTS = "COUNTING", "ALERTS"

_WRITE = """
insert into live.set_aside (topic_id, partition, "offset", part, arrived_at, trouble)
values (%s, %s, %s, %s, %s, %s) on conflict do nothing
"""
_COUNT = """
select count(*) filter (where part = 'COUNTING'), count(*) filter (where part = 'ALERTS') from live.set_aside
"""


@dataclass(frozen=True)
class SetAside:
    """How many events were set aside: not counted, or counted and not judged by the alert rules."""

    counting: int = 0
    alerts: int = 0

    def __str__(self) -> str:
        parts = [
            f"{self.counting:,} not counted" if self.counting else "",
            f"{self.alerts:,} counted, but not judged by the alert rules" if self.alerts else "",
        ]
        said = ", ".join(filter(None, parts))
        return f"events set aside: {said}; table live.set_aside lists them" if said else ""


def write(connection: Connection, part: str, events: Iterable[Event], error: Exception | None = None) -> None:
    """Write events down, in the transaction that passes over them.

    Args:
        connection: inside that transaction.
        part: COUNTING or ALERTS.
        events: what is set aside.
        error: why, where the events do not say it themselves.
    """
    rows = [
        (*astuple(event.place), part, event.arrived_at, event.trouble or (trouble_of(error) if error else "unknown"))
        for event in events
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_WRITE, rows)


def count(connection: Connection) -> SetAside:
    """Return how many events are set aside."""
    return SetAside(*(connection.execute(_COUNT).fetchone() or (0, 0)))
