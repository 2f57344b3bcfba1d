"""Events of feeds that stand in offsets which an operator has accepted as lost: they will never arrive.

The books know how many offsets are lost, not whose they were. A feed's missing numbers count as lost only when they fit
within the lost offsets between its own control totals, and all feeds together within all lost offsets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from contracts.control_total import Amounts
from warehouse.arrivals import Arrived, said
from warehouse.delta_log import Gone, Lost
from warehouse.watermark import loaded_ends

Connection = psycopg.Connection[Any]
Offsets = Mapping[str, int]


def lost_between(connection: Connection, entity: str, topic_id: str | None, after: Offsets, upto: Offsets) -> int:
    """Return how many lost offsets of a topic may hold events between two control totals.

    A producer's events are acknowledged out of their order between partitions, so that a loss which reaches beyond the
    older total counts whole.

    Args:
        connection: reads the books.
        entity: the feed's.
        topic_id: the topic; None where the feed could not learn it: any of the entity.
        after: last offset by partition of the older total; empty for none.
        upto: the same of the newer one.
    """
    found = 0
    for partition, begin, behind, offsets in connection.execute(
        "select partition, start_offset, end_offset, offsets "
        "from metadata.lost_offsets join metadata.load_audit a using (load_id) "
        "where a.entity = %(entity)s and (%(topic)s::text is null or topic_id = %(topic)s)",
        {"topic": topic_id, "entity": entity},
    ).fetchall():
        if after.get(str(partition), -1) < behind - 1:
            found += max(0, min(offsets, upto.get(str(partition), -1) + 1 - begin))
    return found


def read_lost(connection: Connection, entity: str | None = None) -> tuple[int, int]:
    """Return how many offsets are accepted as lost, and how many numbers of feeds count as lost.

    Args:
        connection: reads the books.
        entity: whose; None for all.
    """
    row = connection.execute(
        """
        select (
            select coalesce(sum(offsets), 0)::bigint
            from metadata.lost_offsets join metadata.load_audit a using (load_id)
            where a.entity = coalesce(%(entity)s, a.entity)
        ), (
            select coalesce(sum(upper(each) - lower(each)), 0)::bigint
            from metadata.feeds, unnest(lost_seqs) as each
            where not isempty(lost_seqs) and entity = coalesce(%(entity)s, entity)
        )
        """,
        {"entity": entity},
    ).fetchone()
    return row or (0, 0)


def lost_of(seq: int, amounts: Amounts | None, arrived: Arrived, missing: int) -> Arrived | None:
    """Return what the missing numbers of a feed were by the gateway's word; None where they do not explain it.

    Args:
        seq: the control total's.
        amounts: the control total's; None where it vouches for the number only.
        arrived: all that has arrived up to it, and what was known as lost before.
        missing: how many numbers are missing and not known as lost yet.
    """
    lacking = Arrived(seq - arrived.events) if amounts is None else said(seq, amounts).minus(arrived)
    is_whole = lacking.without_amount >= 0 and all(money.count > 0 for money in lacking.amounts.values())
    return lacking if is_whole and lacking.events == missing else None


def take_back(lost: Arrived, came: Arrived) -> Arrived:
    """Return what is still lost after some of it has come after all, such as by `produce --resend`.

    A currency of which no event is lost any more has no amount either: if one is left, what came is not what was sent.
    """
    left = lost.minus(came)
    return Arrived(max(0, left.without_amount), {c: m for c, m in left.amounts.items() if m.count > 0})


def write_gone(connection: Connection, load_id: int, gone: tuple[Gone, ...]) -> None:
    """Write which topics are gone, by an operator's acceptance of another one in their place."""
    for each in gone:
        connection.execute(
            "insert into metadata.gone_topics (topic_id, reason, load_id) values (%s, %s, %s) on conflict do nothing",
            [each.topic_id, each.reason, load_id],
        )


@dataclass(frozen=True)
class LostWithTopic:
    """What a topic that is gone held behind its loaded ends, by what control totals say.

    Attributes:
        entity: whose events the topic had.
        ends: how far it is loaded.
        lost: one loss a partition.
    """

    entity: str
    topic_id: str
    ends: dict[int, int]
    lost: tuple[Lost, ...]


def find_lost_with_topic(connection: Connection) -> LostWithTopic | None:
    """Return a topic that is gone, with its offsets behind the loaded ones that control totals speak of.

    They were acknowledged and nobody will ever read them. None where no such offset is left to be accounted for.
    """
    found: dict[tuple[str, str], list[tuple[int, int, str]]] = {}
    for topic_id, entity, reason, partition, behind in connection.execute(
        """
        select g.topic_id, a.entity, g.reason, each.key::int, max(each.value::bigint) + 1
        from metadata.gone_topics g join metadata.load_audit a using (load_id)
            join metadata.control_totals t using (topic_id)
            join metadata.feeds f on f.run = t.run and not f.is_void, jsonb_each_text(last_offsets) each
        group by 1, 2, 3, 4 order by 1, 4
        """
    ).fetchall():
        found.setdefault((topic_id, entity), []).append((partition, behind, reason))
    for (topic_id, entity), partitions in found.items():
        ends = loaded_ends(connection, topic_id)
        lost = tuple(Lost(p, ends.get(p, 0), to, why) for p, to, why in partitions if to > ends.get(p, 0))
        if lost:
            return LostWithTopic(entity, topic_id, ends, lost)
    return None


def feeds_of(connection: Connection, entity: str, topic_id: str | None) -> set[str]:
    """Return the entity's unfinished feeds whose control totals may wait for lost offsets of a topic."""
    rows = connection.execute(
        "select distinct run from metadata.feeds f join metadata.control_totals t using (run) "
        "where f.finished_load_id is null and f.entity = %s and t.seq > f.settled_seq "
        "and (t.topic_id is null or t.topic_id = %s)",
        [entity, topic_id],
    ).fetchall()
    return {run for (run,) in rows}
