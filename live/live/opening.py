"""Where the totals begin: with gold as of its last build, or with nothing at the topic's beginning."""

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from core.errors import OutageError
from live.gold import Gold, read_gold, snapshot

Connection = psycopg.Connection[Any]

_BALANCE = """
insert into live.totals (currency, status, merchant_category, payment_channel, count, amount)
select currency, status, merchant_category, payment_channel, count(*), sum(amount)
from marts.fact_transactions group by 1, 2, 3, 4
"""
_EMPTIED = (
    "totals",
    "changes",
    "payments",
    "redriven",
    "seconds",
    "arrivals",
    "drift",
    "checks",
    "positions",
    "opening",
)


def read_positions(connection: Connection, topic_id: str) -> dict[int, int] | None:
    """Return the next offset by partition; None where the totals were never opened on this topic."""
    rows = connection.execute("select partition, next_offset from live.positions where topic_id = %s", [topic_id])
    return dict(rows.fetchall()) or None


def open_totals(connection: Connection, topic_id: str, reach: Mapping[int, tuple[int, int]]) -> str:
    """Forget what was counted and begin anew; return a line for people.

    Alerts stay, and the list of events that the rules did not judge. What the rules remember of customers stays too,
    unless events were passed over.

    Args:
        connection: outside any transaction.
        topic_id: the topic's id.
        reach: the first offset that the broker has and the one behind the last, by partition.

    Raises:
        OutageError: gold has passed a load over; the next build takes it in.
    """
    with snapshot(connection):
        before = read_positions(connection, topic_id) or {}
        gold = read_gold(connection, topic_id)
        if gold is not None and gold.left_out is not None:
            raise OutageError(
                f"gold does not hold load {gold.left_out}, but later ones: it cannot be an opening balance.",
                "the live view is as it was.",
                "./scripts/tieout build; the service starts again by itself",
            )
        connection.execute(f"truncate {', '.join(f'live.{table}' for table in _EMPTIED)}")
        connection.execute("delete from live.set_aside where part = 'COUNTING'")
        starts = _starts(gold, reach)
        if gold is not None:
            connection.execute(_BALANCE)
        if not before or any(at > before.get(partition, 0) for partition, at in starts.items()):
            connection.execute("truncate live.customers")
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into live.positions (topic_id, partition, next_offset) values (%s, %s, %s)",
                [(topic_id, partition, at) for partition, at in starts.items()],
            )
        source, build_id = ("GOLD", gold.build_id) if gold else ("BEGINNING", None)
        connection.execute(
            "insert into live.opening (topic_id, source, build_id, starts) values (%s, %s, %s, %s)",
            [topic_id, source, build_id, Jsonb(starts)],
        )
    where = f"gold as of build {gold.build_id}" if gold else "nothing, at the topic's beginning"
    return f"opened with {where}; offsets {', '.join(f'{p}:{at}' for p, at in starts.items())}"


def add_partitions(connection: Connection, topic_id: str, partitions: Iterable[int]) -> None:
    """Begin to count partitions that were added to the topic, at their beginning."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "insert into live.positions (topic_id, partition, next_offset) values (%s, %s, 0)",
            [(topic_id, partition) for partition in partitions],
        )


def ask_for_restart(connection: Connection) -> None:
    """Ask the engine that is at work to begin anew with gold; it looks every few seconds."""
    connection.execute("update live.opening set restart_asked_at = clock_timestamp()")


def restart_is_asked(connection: Connection) -> bool:
    """Say whether somebody has asked for it since the totals were opened."""
    row = connection.execute("select restart_asked_at is not null from live.opening").fetchone()
    return bool(row and row[0])


def _starts(gold: Gold | None, reach: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    """Return where to begin: without gold where the broker begins, else behind what gold holds."""
    if gold is None:
        return {partition: low for partition, (low, _) in reach.items()}
    # Gold may hold events of a partition that was added after the broker was asked.
    return {partition: gold.ends.get(partition, 0) for partition in sorted({*reach, *gold.ends})}
