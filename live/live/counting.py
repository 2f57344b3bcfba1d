"""Events into the tables, one database transaction a batch; an event that cannot be handled is set aside."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import psycopg

from core import failpoints
from live import books, lookup, set_aside
from live.alerts.judge import Alert
from live.alerts.watch import Watch
from live.batch import take
from live.events import Event, Kind
from live.trouble import is_about_an_event, trouble_of

Connection = psycopg.Connection[Any]


class Counting:
    """Counts batches on from the positions.

    Args:
        connection: autocommit, used by nobody else.
        watch: judges by the alert rules.
        channels: by payment method.
        send: takes the alerts of a committed batch.
        say: takes a line for people.

    Attributes:
        topic_id: of the topic that is counted.
        positions: the next offset that is not counted yet, by partition, as the database has it.
    """

    def __init__(
        self,
        connection: Connection,
        watch: Watch,
        channels: Mapping[str, str],
        send: Callable[[list[Alert]], None],
        say: Callable[[str], None],
    ) -> None:
        self._connection, self._watch, self._channels = connection, watch, channels
        self._send, self._say = send, say
        self.topic_id = ""
        self.positions: dict[int, int] = {}

    def is_next(self, partition: int, offset: int) -> bool:
        """Say whether an offset was not counted yet."""
        return offset >= self.positions.get(partition, 0)

    def count(self, events: list[Event]) -> None:
        """Count events; a kill at any moment leaves all of a transaction or nothing.

        A batch that fails over a value is halved until the event is found: that one is set aside, all others count.

        Args:
            events: not counted yet; each partition's in its order.
        """
        try:
            alerts = self._count_together(events)
        except Exception as error:
            if not is_about_an_event(error):
                raise
            if len(events) == 1:
                self._count_alone(events[0], error)
                return
            middle = len(events) // 2
            self.count(events[:middle])
            self.count(events[middle:])
        else:
            self._send(alerts)

    def pass_over(self, ends: Mapping[int, int]) -> None:
        """Move to where partitions were read to: what lies before it and did not come is no event.

        Markers of transactions and what was aborted take offsets, too.
        """
        moved: dict[int, tuple[int, datetime | None]] = {
            partition: (end, None) for partition, end in ends.items() if end > self.positions.get(partition, end)
        }
        if moved:
            with self._connection.transaction():
                books.move_positions(self._connection, moved, self.topic_id, self.positions)
            self._move({partition: end for partition, (end, _) in moved.items()})

    def _count_together(self, events: list[Event], not_judged: Exception | None = None) -> list[Alert]:
        """Count events in one transaction; return the alerts.

        Args:
            events: what to count.
            not_judged: leave the alert rules out, for this reason.
        """
        connection, topic_id, positions = self._connection, self.topic_id, self.positions
        alerts: list[Alert] = []
        with connection.transaction():
            # Payments are looked up by key, also while statistics still say that the table is small.
            connection.execute("set local enable_seqscan = off")
            names = [event.text("transaction_id") for event in events if event.kind is Kind.SOUND]
            standings = lookup.standings(connection, names, topic_id, positions)
            again = lookup.redriven_before(connection, events, topic_id, positions)
            batch = take(events, standings, again, self._channels)
            books.write(connection, batch, topic_id, positions, self._channels)
            if not_judged is None:
                alerts = self._watch.judge(connection, batch, self._channels)
            else:
                set_aside.write(connection, set_aside.ALERTS, events, not_judged)
            failpoints.reach("live.before-commit")
        failpoints.reach("live.after-commit")
        self._move({partition: end for partition, (end, _) in batch.ends.items()})
        for event in batch.unjudged:
            self._say_set_aside(event, event.trouble or "", "it is not counted")
        return alerts

    def _count_alone(self, event: Event, error: Exception) -> None:
        """Count an event without the alert rules; where that fails too, pass it over."""
        part = "the alert rules did not judge it, it is counted"
        try:
            self._count_together([event], not_judged=error)
        except Exception as second:
            if not is_about_an_event(second):
                raise
            part, error = "it is not counted", second
            place = event.place
            with self._connection.transaction():
                end = {place.partition: (place.offset + 1, event.arrived_at)}
                books.move_positions(self._connection, end, self.topic_id, self.positions)
                set_aside.write(self._connection, set_aside.COUNTING, [event], error)
            self._move({place.partition: place.offset + 1})
        self._say_set_aside(event, trouble_of(error), part)

    def _say_set_aside(self, event: Event, trouble: str, part: str) -> None:
        self._say(f"the event at {event.place.partition}:{event.place.offset} is set aside after {trouble}: {part}")

    def _move(self, ends: Mapping[int, int]) -> None:
        self.positions = self.positions | dict(ends)
