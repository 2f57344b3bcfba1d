"""Control totals of a load: each sender's own, and the first content of a total stands.

A load writes new totals before it counts, so that what it brings is cut where a total ends.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from contracts.control_total import (
    GATEWAY,
    Amounts,
    ControlTotal,
    Money,
    amounts_as_json,
    amounts_from_json,
    sender_of,
)
from contracts.model import Entity
from warehouse.settle import Ends

# A sender cannot fill the books. Limits of feeds without an event: those whose total names loaded offsets, and those
# whose offsets are still to be loaded. Limits of a feed: totals that wait, and other contents that are kept.
MOST_FEEDS_TO_COME = 1_000
MOST_FEEDS_NOT_LOADED = 20_000
MOST_WAITING = 500
MOST_CONTRADICTING = 10

Connection = psycopg.Connection[Any]


@dataclass
class Taken:
    """What became of the totals on one sender's topic.

    Attributes:
        runs: feeds of which the books have a new total or a contradiction.
        foreign: totals of feeds of another sender.
        refused: totals of feeds without an event, beyond the most that are kept.
    """

    runs: set[str] = field(default_factory=set)
    foreign: int = 0
    refused: int = 0


@dataclass(frozen=True)
class _Standing:
    closed: bool
    amounts: Amounts | None
    broken: dict[str, int]
    file: dict[str, Any] | None


@dataclass(frozen=True)
class _Feed:
    entity: str
    settled_seq: int
    highest: int | None
    is_void: bool


def write_control_totals(
    connection: Connection,
    load_id: int,
    entity: Entity,
    sender: str,
    totals: Iterable[ControlTotal],
    *,
    arrived: Container[str],
    ends: Ends,
) -> Taken:
    """Write the new control totals of a sender's topic: only those of its own feeds count.

    Args:
        connection: the loader's, inside its transaction.
        load_id: the load.
        entity: whose events the load has.
        sender: whose topic it is.
        totals: new on the topic.
        arrived: feeds of which this load has events, which are counted after the totals.
        ends: how far the topics are loaded, this load included.
    """
    senders = entity.platform.control_topics
    taken, totals = Taken(), list(totals)
    foreign = {total.run for total in totals if sender_of(total.run, senders) != sender}
    foreign -= _used_gateway_topic(connection, sender, foreign)
    to_come: Counter[bool] | None = None
    for total in totals:
        if total.run in foreign:
            taken.foreign += 1
            continue
        feed = _read_feed(connection, total.run)
        if feed is None:
            if total.run not in arrived or total.entity != entity.name:
                if to_come is None:
                    to_come = _feeds_to_come(connection, entity, sender, arrived, ends)
                is_loaded = ends.of(total.entity).passed(total.topic_id, _as_text(total.last_offsets))
                if to_come[is_loaded] >= (MOST_FEEDS_TO_COME if is_loaded else MOST_FEEDS_NOT_LOADED):
                    taken.refused += 1
                    continue
                to_come[is_loaded] += 1
            connection.execute(
                "insert into metadata.feeds (run, entity, first_load_id, last_load_id) values (%s, %s, %s, %s)",
                [total.run, total.entity, load_id, load_id],
            )
            feed = _Feed(total.entity, 0, None, is_void=False)
        if not feed.is_void:
            _take(connection, load_id, total, feed)
            taken.runs.add(total.run)
    _thin_out(connection, taken.runs)
    return taken


def _used_gateway_topic(connection: Connection, sender: str, runs: set[str]) -> set[str]:
    """Return redrives of the time when there was the gateway's topic only."""
    if sender != GATEWAY or not runs:
        return set()
    rows = connection.execute(
        "select run from metadata.redrive_feeds where used_gateway_topic and run = any(%s)", [list(runs)]
    ).fetchall()
    return {run for (run,) in rows}


def _read_feed(connection: Connection, run: str) -> _Feed | None:
    row = connection.execute(
        "select entity, settled_seq, (select max(seq) from metadata.control_totals t where t.run = f.run), is_void "
        "from metadata.feeds f where run = %s",
        [run],
    ).fetchone()
    return _Feed(*row) if row else None


def _feeds_to_come(
    connection: Connection, entity: Entity, sender: str, arrived: Container[str], ends: Ends
) -> Counter[bool]:
    """Return how many feeds of a sender have no event, by whether their newest total names loaded offsets only."""
    rows = connection.execute(
        """
        select f.run, f.entity, newest.topic_id, newest.last_offsets from metadata.feeds f cross join lateral (
            select topic_id, last_offsets from metadata.control_totals t where t.run = f.run order by seq desc limit 1
        ) as newest
        where f.events = 0 and not f.is_void
        """
    ).fetchall()
    return Counter(
        ends.of(of_entity).passed(topic_id, last_offsets)
        for run, of_entity, topic_id, last_offsets in rows
        if run not in arrived and sender_of(run, entity.platform.control_topics) == sender
    )


def _as_text(last_offsets: Mapping[int, int]) -> dict[str, int]:
    return {str(partition): offset for partition, offset in last_offsets.items()}


def _take(connection: Connection, load_id: int, total: ControlTotal, feed: _Feed) -> None:
    row = connection.execute(
        "select closed, amounts, broken, file from metadata.control_totals where run = %s and seq = %s",
        [total.run, total.seq],
    ).fetchone()
    standing = row and _Standing(row[0], None if row[1] is None else amounts_from_json(row[1]), *row[2:])
    if _contradicts(total, standing, feed):
        _keep_beside(connection, load_id, total)
        return
    _write_total(connection, load_id, total)
    filled = standing is not None and standing.amounts is None and total.amounts is not None
    if standing is None or filled or (total.closed and not standing.closed):
        # A higher total after a closing one: the feed goes on, and is closed again by a later closing total.
        connection.execute(
            """
            update metadata.feeds set finished_load_id = null, closed_seq = case
                when %(closed)s then greatest(closed_seq, %(seq)s) when closed_seq >= %(seq)s then closed_seq end
            where run = %(run)s
            """,
            {"run": total.run, "seq": total.seq, "closed": total.closed},
        )


def _contradicts(total: ControlTotal, standing: _Standing | None, feed: _Feed) -> bool:
    """Say whether a total is not what its sender has said before, or is of another entity than the feed.

    A total contradicts if its number is below the settled one and no kept total has that number.
    """
    if total.entity != feed.entity:
        return True
    if total.closed and total.seq < (feed.highest or 0) and not (standing and standing.closed):
        return True
    if standing is None:
        return total.seq < feed.settled_seq
    if standing.file is not None and total.file is not None and total.file.as_json() != standing.file:
        return True
    filled = standing.amounts is None or _money(total.amounts) == _money(standing.amounts)
    return not filled or _counts(total.broken) != _counts(standing.broken)


def _money(amounts: Amounts | None) -> Amounts | None:
    return None if amounts is None else {currency: money for currency, money in amounts.items() if money != Money()}


def _counts(broken: Any) -> dict[str, int]:
    return {kind: count for kind, count in broken.items() if count}


def _keep_beside(connection: Connection, load_id: int, total: ControlTotal) -> None:
    values = [total.run, total.seq, total.closed, _as_json(total.amounts), Jsonb(dict(total.broken))]
    kept = connection.execute(
        "select count(*), count(*) filter (where (seq, closed, broken, entity) = (%s, %s, %s::jsonb, %s) "
        "and amounts is not distinct from %s::jsonb) from metadata.contradicting_totals where run = %s",
        [total.seq, total.closed, values[4], total.entity, values[3], total.run],
    ).fetchone() or (0, 0)
    if kept[1]:
        return
    connection.execute(
        "update metadata.feeds set contradictions = contradictions + 1, finished_load_id = null where run = %s",
        [total.run],
    )
    if kept[0] < MOST_CONTRADICTING:
        connection.execute(
            "insert into metadata.contradicting_totals (run, seq, closed, amounts, broken, sent_at, load_id, entity) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s)",
            [*values, total.sent_at, load_id, total.entity],
        )


def _as_json(amounts: Amounts | None) -> Jsonb | None:
    return None if amounts is None else Jsonb(amounts_as_json(amounts))


def _write_total(connection: Connection, load_id: int, total: ControlTotal) -> None:
    connection.execute(
        """
        insert into metadata.control_totals as t
            (run, seq, closed, amounts, broken, last_offsets, topic_id, contract, sent_at, load_id, file)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (run, seq) do update set closed = t.closed or excluded.closed,
            amounts = coalesce(t.amounts, excluded.amounts), file = coalesce(t.file, excluded.file),
            last_offsets = excluded.last_offsets,
            topic_id = excluded.topic_id, sent_at = excluded.sent_at, load_id = excluded.load_id
        """,
        [
            *(total.run, total.seq, total.closed, _as_json(total.amounts), Jsonb(dict(total.broken))),
            Jsonb(_as_text(total.last_offsets)),
            *(total.topic_id, total.contract, total.sent_at, load_id),
            None if total.file is None else Jsonb(total.file.as_json()),
        ],
    )


def _thin_out(connection: Connection, runs: Iterable[str]) -> None:
    """Keep the newest waiting totals of each feed: a newer one says what the ones before it said."""
    connection.execute(
        """
        delete from metadata.control_totals t
        using unnest(%s::text[]) as each (run) join metadata.feeds f using (run) cross join lateral (
            select seq from metadata.control_totals n where n.run = each.run order by seq desc offset %s limit 1
        ) as oldest
        where t.run = each.run and t.seq > f.settled_seq and t.seq < oldest.seq
        """,
        [list(runs), MOST_WAITING - 1],
    )
