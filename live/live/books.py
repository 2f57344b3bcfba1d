"""A batch into PostgreSQL: payments, deltas, totals, counts and positions, inside the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

from core.errors import OutageError
from live import set_aside
from live.batch import Batch
from live.events import Event
from live.payment_state import PENDING, PaymentState

Connection = psycopg.Connection[Any]

_COLUMNS = (
    "transaction_id", "status", "has_pending", "amount", "currency", "customer_id", "merchant_name",
    "merchant_category", "payment_method", "payment_channel", "device_type", "city", "state", "country",
    "failure_reason", "is_fraud", "occurred_at", "utc_offset_minutes", "status_at", "arrived_at", "status_arrived_at",
    "identity_hash", "topic_id", "partition", '"offset"',
)  # fmt: skip
_MOVE = """
update live.payments p set status = n.status, has_pending = n.has_pending, failure_reason = n.failure_reason,
    status_at = n.status_at, status_arrived_at = n.status_arrived_at
from unnest(%s::text[], %s::text[], %s::boolean[], %s::text[], %s::timestamptz[], %s::timestamptz[])
    as n (transaction_id, status, has_pending, failure_reason, status_at, status_arrived_at)
where p.transaction_id = n.transaction_id
"""
_TOTALS = """
insert into live.totals as t (currency, status, merchant_category, payment_channel, count, amount)
select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::numeric[])
on conflict (currency, status, merchant_category, payment_channel) do update
set count = t.count + excluded.count, amount = t.amount + excluded.amount, changed_at = clock_timestamp()
"""
_SECONDS = """
insert into live.seconds as s (second, currency, status, count, amount)
select * from unnest(%s::timestamptz[], %s::text[], %s::text[], %s::bigint[], %s::numeric[])
on conflict (second, currency, status) do update
set count = s.count + excluded.count, amount = s.amount + excluded.amount
"""
_ARRIVALS = """
insert into live.arrivals as a
select * from unnest(%s::timestamptz[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::bigint[])
on conflict (second) do update set events = a.events + excluded.events, taken = a.taken + excluded.taken,
    repeated = a.repeated + excluded.repeated, rejected = a.rejected + excluded.rejected,
    dead_letters = a.dead_letters + excluded.dead_letters,
    longest_delay_ms = greatest(a.longest_delay_ms, excluded.longest_delay_ms)
"""
_REDRIVEN = """
insert into live.redriven select %s, * from unnest(%s::text[], %s::timestamptz[]) on conflict do nothing
"""
# What stands there must be where this batch began to read: anybody else who moved it has counted the same events.
_POSITIONS = """
update live.positions p set next_offset = n.next_offset, arrived_at = coalesce(n.arrived_at, p.arrived_at),
    moved_at = clock_timestamp()
from unnest(%s::integer[], %s::bigint[], %s::bigint[], %s::timestamptz[])
    as n (partition, was, next_offset, arrived_at)
where p.topic_id = %s and p.partition = n.partition and p.next_offset = n.was
"""


def write(
    connection: Connection, batch: Batch, topic_id: str, positions: Mapping[int, int], channels: Mapping[str, str]
) -> None:
    """Write all that a batch changes.

    Raises:
        OutageError: somebody else has moved the positions meanwhile.
    """
    move_positions(connection, batch.ends, topic_id, positions)
    set_aside.write(connection, set_aside.COUNTING, batch.unjudged)
    _write_payments(connection, batch, channels)
    with connection.cursor().copy(
        'copy live.changes (partition, "offset", currency, status, merchant_category, payment_channel, count, amount) '
        "from stdin"
    ) as copy:
        for each in batch.changes:
            where = (each.place.partition, each.place.offset, each.currency, each.status, each.category, each.channel)
            copy.write_row((*where, each.count, each.count * each.event.amount))
    _run(connection, _TOTALS, [(*key, *money) for key, money in sorted(batch.totals().items())])
    _run(connection, _SECONDS, [(*key, *money) for key, money in batch.seconds().items()])
    if batch.redriven:
        connection.execute(_REDRIVEN, [topic_id, list(batch.redriven), list(batch.redriven.values())])
    _run(connection, _ARRIVALS, _arrivals(batch, datetime.now(UTC)))


def _arrivals(batch: Batch, now: datetime) -> list[tuple[Any, ...]]:
    rows = []
    for second, each in batch.arrivals.items():
        delay = round((now - (each.first_at or now)).total_seconds() * 1000)
        rows.append((second, each.events, each.taken, each.repeated, each.rejected, each.dead_letters, delay))
    return rows


def move_positions(
    connection: Connection,
    ends: Mapping[int, tuple[int, datetime | None]],
    topic_id: str,
    positions: Mapping[int, int],
) -> None:
    """Move the positions to where partitions were read to.

    Args:
        connection: inside a transaction.
        ends: the next offset by partition, and when its last event arrived; None: none came.
        topic_id: the topic's id.
        positions: where this process left them.

    Raises:
        OutageError: somebody else has moved them meanwhile.
    """
    rows = [(partition, positions[partition], end, at) for partition, (end, at) in ends.items()]
    moved = connection.execute(_POSITIONS, [*_columns(rows), topic_id]).rowcount
    if moved != len(rows):
        raise OutageError(
            f"{len(rows) - moved} of the live view's positions are not where this process left them: another one runs.",
            "nothing of this batch is counted by this process.",
            "stop the other one; the service starts again by itself",
        )


def _write_payments(connection: Connection, batch: Batch, channels: Mapping[str, str]) -> None:
    new = list(batch.fresh.items())
    # What was forgotten comes back when it settles; a PENDING behind its final status is not worth that.
    forgotten = [(name, event) for name, event in batch.moved.items() if not batch.standings[name].is_kept]
    new += [(name, event) for name, event in forgotten if event.text("status") != PENDING]
    with connection.cursor().copy(f"copy live.payments ({', '.join(_COLUMNS)}) from stdin") as copy:
        for name, event in new:
            copy.write_row(_row(name, event, batch.standings[name], channels))
    kept = [(name, event) for name, event in batch.moved.items() if batch.standings[name].is_kept]
    rows = []
    for name, event in kept:
        standing = batch.standings[name]
        if event.text("status") == PENDING:  # it came behind its final status, which stays
            connection.execute("update live.payments set has_pending = true where transaction_id = %s", [name])
            continue
        how = (standing.status, standing.has_pending, event.maybe("failure_reason"))
        rows.append((name, *how, event.status_at, event.arrived_at))
    _run(connection, _MOVE, rows)


def _row(name: str, event: Event, standing: PaymentState, channels: Mapping[str, str]) -> tuple[Any, ...]:
    method, first = event.text("payment_method"), standing.first
    return (
        name, standing.status, standing.has_pending, event.amount, event.text("currency"), event.text("customer_id"),
        event.text("merchant_name"), event.text("merchant_category"), method, channels[method],
        event.maybe("device_type"), event.maybe("city"), event.maybe("state"), event.maybe("country"),
        event.maybe("failure_reason"), event.maybe("is_fraud"), event.occurred_at, event.utc_offset_minutes,
        event.status_at, standing.arrived_at, event.arrived_at, standing.identity_hash, first.topic_id,
        first.partition, first.offset,
    )  # fmt: skip


def _run(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        connection.execute(statement.encode(), _columns(rows))


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
