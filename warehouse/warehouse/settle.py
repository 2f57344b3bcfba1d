"""Settles feeds: up to where the sender's control totals and what has arrived agree, to the cent.

What is missing counts as lost where an operator has accepted a loss that explains it; it stays named as lost.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from contracts.control_total import Amounts, amounts_as_json, amounts_from_json
from contracts.entities import load_entity
from warehouse.arrivals import Arrived, Ranges, agrees, counted, gaps
from warehouse.feeds import as_multirange, as_ranges
from warehouse.losses import lost_between, lost_of, read_lost, take_back
from warehouse.watermark import loaded_ends, read_watermark

# Portions that are settled are kept for so many loads, for whoever wants to look.
KEEP_LOADS = 2_000
# Control totals below the settled one that are kept of a feed.
KEEP_TOTALS = 100

Connection = psycopg.Connection[Any]


@dataclass
class Ends:
    """How far the topics are loaded, this load included.

    Attributes:
        topic_id: the topic of the load.
        ends: how far that one is loaded.
        entity: whose events the topic has; None where only feeds of that entity are asked about.
    """

    connection: Connection
    topic_id: str | None
    ends: Mapping[int, int]
    entity: str | None = None
    of_others: dict[str, Mapping[int, int]] = field(default_factory=dict)
    of_entities: dict[str, "Ends"] = field(default_factory=dict)

    def of(self, entity: str) -> "Ends":
        """Return the same for feeds of an entity: one that could not learn its topic means the entity's newest."""
        if self.entity in (None, entity):
            return self
        if entity not in self.of_entities:
            watermark = read_watermark(self.connection, load_entity(entity).bronze)
            topic, ends = (watermark.topic_id, watermark.ends) if watermark else (None, {})
            self.of_entities[entity] = Ends(self.connection, topic, ends, entity, self.of_others)
        return self.of_entities[entity]

    def passed(self, topic_id: str | None, last_offsets: Mapping[str, int]) -> bool:
        """Say whether every offset of a total is loaded."""
        ends = self.ends
        if topic_id not in (None, self.topic_id):
            named = topic_id or ""
            if named not in self.of_others:
                self.of_others[named] = loaded_ends(self.connection, named)
            ends = self.of_others[named]
        return all(ends.get(int(partition), 0) > offset for partition, offset in last_offsets.items())


def settle(connection: Connection, load_id: int, runs: Iterable[str], ends: Ends) -> None:
    """Bring each feed's settled sums to its newest control total that agrees with what has arrived, or is lost."""
    for feed in _read_feeds(connection, load_id, list(runs)):
        _settle_feed(connection, _take_back(connection, feed), ends.of(feed.entity))
    connection.execute(
        "update metadata.feeds set finished_load_id = %(load)s, first_finished_load_id = "
        "coalesce(first_finished_load_id, %(load)s) "
        "where finished_load_id is null and contradictions = 0 and settled_seq >= closed_seq "
        "and (isempty(seen) or upper(seen) <= closed_seq + 1) and (run = any(%(runs)s) or last_load_id = %(load)s)",
        {"load": load_id, "runs": list(runs)},
    )
    connection.execute("delete from metadata.load_feeds where settled and load_id < %s", [load_id - KEEP_LOADS])


@dataclass(frozen=True)
class _Feed:
    run: str
    entity: str
    seen: Ranges
    settled_seq: int
    settled: Arrived
    lost_seqs: Ranges
    lost: Arrived
    portions: tuple[tuple[int, Arrived], ...]

    def upto(self, seq: int) -> Arrived:
        """Return what has arrived up to a number."""
        return self.settled.plus(arrived for behind, arrived in self.portions if behind <= seq + 1)


@dataclass(frozen=True)
class _Total:
    seq: int
    amounts: Amounts | None
    topic_id: str | None
    last_offsets: Mapping[str, int]


def _read_feeds(connection: Connection, load_id: int, runs: list[str]) -> list[_Feed]:
    rows = connection.execute(
        """
        select f.run, f.entity, f.seen, f.settled_seq, f.settled_without_amount, f.settled_amounts, f.lost_seqs,
            f.lost_without_amount, f.lost_amounts
        from metadata.feeds f
        where f.finished_load_id is null and (f.run = any(%s) or f.run in (
            select run from metadata.control_totals where load_id = %s))
        order by f.first_load_id, f.run  -- who lost what is the same each time
        """,
        [runs, load_id],
    ).fetchall()
    portions: dict[str, list[tuple[int, Arrived]]] = {}
    for run, behind, without_amount, amounts in connection.execute(
        "select run, upper(seqs), without_amount, amounts from metadata.load_feeds where run = any(%s) "
        "and not settled and not isempty(seqs)",
        [[row[0] for row in rows]],
    ).fetchall():
        portions.setdefault(run, []).append((behind, Arrived(without_amount, amounts_from_json(amounts))))
    found = []
    for run, entity, seen, settled_seq, without_amount, amounts, lost_seqs, lost_without_amount, lost_amounts in rows:
        settled = Arrived(without_amount, amounts_from_json(amounts))
        lost = Arrived(lost_without_amount, amounts_from_json(lost_amounts))
        brought = tuple(portions.get(run, []))
        found.append(_Feed(run, entity, as_ranges(seen), settled_seq, settled, as_ranges(lost_seqs), lost, brought))
    return found


def _take_back(connection: Connection, feed: _Feed) -> _Feed:
    """Count numbers that were lost and have come after all, below what is settled, as arrived."""
    late = [arrived for behind, arrived in feed.portions if behind <= feed.settled_seq + 1]
    if not late:
        return feed
    here = replace(feed, settled=feed.upto(feed.settled_seq), lost=take_back(feed.lost, Arrived().plus(late)))
    row = connection.execute(
        "update metadata.feeds set lost_seqs = lost_seqs - seen where run = %s returning lost_seqs", [feed.run]
    ).fetchone()
    _move(connection, here, feed.settled_seq)
    rest = tuple((behind, arrived) for behind, arrived in feed.portions if behind > feed.settled_seq + 1)
    return replace(here, lost_seqs=as_ranges(row[0]) if row else [], portions=rest)


def _settle_feed(connection: Connection, feed: _Feed, ends: Ends) -> None:
    rows = connection.execute(
        "select seq, amounts, topic_id, last_offsets from metadata.control_totals where run = %s and seq >= %s "
        "order by seq desc",
        [feed.run, feed.settled_seq],
    ).fetchall()
    totals = [_Total(row[0], None if row[1] is None else amounts_from_json(row[1]), *row[2:]) for row in rows]
    newer = [t for t in totals if t.seq > feed.settled_seq]
    # What is all there has no need of offsets: these say when to stop waiting for what is not.
    for total in newer:
        if not gaps([*feed.seen, *feed.lost_seqs], total.seq) and agrees(
            total.seq, total.amounts, feed.upto(total.seq).plus([feed.lost])
        ):
            _move(connection, replace(feed, settled=feed.upto(total.seq)), total.seq)
            return
    waiting = [t for t in newer if ends.passed(t.topic_id, t.last_offsets)]
    _settle_losses(connection, feed, [t for t in totals if t.seq == feed.settled_seq], waiting[::-1])


def _settle_losses(connection: Connection, feed: _Feed, settled: list[_Total], waiting: list[_Total]) -> None:
    """Go from total to total as far as what is missing is explained by accepted losses, and not beyond."""
    accepted, claimed = read_lost(connection, feed.entity) if waiting else (0, 0)
    known = counted(feed.lost_seqs)
    reached, lost_seqs, lost = feed.settled_seq, feed.lost_seqs, feed.lost
    for total in waiting if accepted > claimed else ():
        arrived = feed.upto(total.seq)
        missing = gaps([*feed.seen, *lost_seqs], total.seq)
        more = lost_of(total.seq, total.amounts, arrived.plus([lost]), counted(missing))
        # Once a feed has lost something its older totals say nothing about where: the sum of all losses still does.
        older = [t for t in settled if t.topic_id == total.topic_id and not lost_seqs]
        fits = lost_between(
            connection, feed.entity, total.topic_id, older[0].last_offsets if older else {}, total.last_offsets
        )
        room = min(fits, accepted - claimed + known)
        if more is None or counted(lost_seqs) + counted(missing) > room:
            break
        reached, lost_seqs, lost = total.seq, [*lost_seqs, *missing], lost.plus([more])
    if reached > feed.settled_seq:
        connection.execute(
            "update metadata.feeds set lost_seqs = %s where run = %s", [as_multirange(lost_seqs), feed.run]
        )
        _move(connection, replace(feed, settled=feed.upto(reached), lost=lost), reached)


def _move(connection: Connection, feed: _Feed, seq: int) -> None:
    connection.execute(
        "update metadata.feeds set settled_seq = %s, settled_without_amount = %s, settled_amounts = %s, "
        "lost_without_amount = %s, lost_amounts = %s where run = %s",
        [
            *(seq, feed.settled.without_amount, Jsonb(amounts_as_json(feed.settled.amounts))),
            *(feed.lost.without_amount, Jsonb(amounts_as_json(feed.lost.amounts)), feed.run),
        ],
    )
    connection.execute(
        "update metadata.load_feeds set settled = true where run = %s and not settled "
        "and (isempty(seqs) or upper(seqs) <= %s)",
        [feed.run, seq + 1],
    )
    # The last of what is settled is kept: sent again with the same content, it is nothing new.
    connection.execute(
        "delete from metadata.control_totals where run = %(run)s and seq < (select seq from metadata.control_totals "
        "where run = %(run)s and seq < %(seq)s order by seq desc offset %(kept)s limit 1)",
        {"run": feed.run, "seq": seq, "kept": KEEP_TOTALS - 1},
    )
