"""What the books know of each feed: its control totals, what has arrived of it, and what of its file was refused."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from contracts.control_total import FileTotal, Money, amounts_from_json, file_from_json
from contracts.model import Entity
from warehouse.arrivals import Arrived, Ranges
from warehouse.feeds import as_ranges

_FEEDS = """
select f.run, f.seen, f.events, f.without_amount, f.amounts, f.copies, f.settled_seq, f.settled_without_amount,
    f.settled_amounts, f.closed_seq, f.finished_load_id, f.contradictions, v.voided_by, v.reason, f.lost_seqs,
    f.lost_without_amount, f.lost_amounts, f.last_load_id
from metadata.feeds f left join metadata.feed_voids v using (run)
where f.entity = %(entity)s and (f.finished_load_id is null or f.finished_load_id > %(after)s)
order by f.last_load_id desc, f.run
"""
_TOTALS = """
select t.run, t.seq, t.amounts, t.topic_id, t.last_offsets, t.file
from metadata.control_totals t join metadata.feeds f using (run)
where f.entity = %(entity)s and (f.finished_load_id is null or f.finished_load_id > %(after)s)
    and t.seq >= f.settled_seq and not f.is_void
order by t.run, t.seq
"""
_REFUSED = """
select run, currency, count(*), sum(amount) from metadata.refused_rows where run = any(%s) group by run, currency
"""
_PORTIONS = """
select p.run, upper(p.seqs), p.without_amount, p.amounts
from metadata.load_feeds p join metadata.feeds f on f.run = p.run and f.entity = %s
where not p.settled and not isempty(p.seqs)
"""


@dataclass(frozen=True)
class Total:
    """A control total as it is kept."""

    seq: int
    amounts: dict[str, Money] | None
    topic_id: str | None
    last_offsets: Mapping[str, int]
    file: FileTotal | None = None


@dataclass(frozen=True)
class FeedBooks:
    """What is known of a feed.

    Attributes:
        seen: its numbers that have arrived, as ranges.
        events: how many numbers that are; for events without a number, the events.
        settled: the total up to which gateway and arrivals were found equal, and what had arrived then.
        waiting: newer totals, oldest first, each with what has arrived up to it.
        contradictions: totals of its own sender that contradict one that stands.
        void: who has ended the feed, and why.
        lost_seqs: settled numbers that stand in offsets accepted as lost.
        lost: what the gateway says of them.
        is_none: it is no feed; it holds the events that name none.
        last_load_id: the last load that had something of it.
        refused: rows of its file that were refused and are kept.
    """

    run: str
    seen: Ranges
    events: int
    copies: int
    closed_seq: int | None
    finished_load_id: int | None
    settled: tuple[Total, Arrived] | None
    waiting: tuple[tuple[Total, Arrived], ...]
    contradictions: int = 0
    void: tuple[str, str] | None = None
    lost_seqs: Ranges = field(default_factory=list)
    lost: Arrived = field(default_factory=Arrived)
    is_none: bool = False
    last_load_id: int = 0
    refused: Arrived = field(default_factory=Arrived)


def read_feeds(connection: psycopg.Connection[Any], entity: Entity, after_load: int) -> Iterable[FeedBooks]:
    """Yield the feeds of an entity that are not brought forward, newest first."""
    which = {"entity": entity.name, "after": after_load}
    totals: dict[str, list[Total]] = {}
    for run, *total in connection.execute(_TOTALS, which).fetchall():
        totals.setdefault(run, []).append(read_total(*total))
    refused = read_refused(connection, totals)
    portions: dict[str, list[tuple[int, Arrived]]] = {}
    for run, behind, without_amount, amounts in connection.execute(_PORTIONS, [entity.name]).fetchall():
        portions.setdefault(run, []).append((behind, Arrived(without_amount, amounts_from_json(amounts))))
    for row in connection.execute(_FEEDS, which).fetchall():
        run, seen, events, _, _, copies, settled_seq, without_amount, amounts, closed_seq, finished, *others = row
        contradictions, voided_by, reason, *lost, last_load_id = others
        before = Arrived(without_amount, amounts_from_json(amounts))
        known = totals.get(run, [])
        settled = next((total for total in known if total.seq == settled_seq), None)
        yield FeedBooks(
            run=run,
            seen=as_ranges(seen),
            events=events,
            copies=copies,
            closed_seq=closed_seq,
            finished_load_id=finished,
            contradictions=contradictions,
            void=None if voided_by is None else (voided_by, reason),
            settled=(settled or Total(settled_seq, {}, None, {}), before) if settled_seq else None,
            waiting=tuple((t, _upto(before, portions.get(run, []), t.seq)) for t in known if t.seq > settled_seq),
            lost_seqs=as_ranges(lost[0]),
            lost=Arrived(lost[1], amounts_from_json(lost[2])),
            is_none=run == entity.no_feed,
            last_load_id=last_load_id,
            refused=refused.get(run, Arrived()),
        )


def read_total(
    seq: int, amounts: Any, topic_id: str | None, last_offsets: Mapping[str, int], file: dict[str, Any] | None
) -> Total:
    """Return a control total of its columns."""
    held = None if amounts is None else amounts_from_json(amounts)
    return Total(seq, held, topic_id, last_offsets, None if file is None else file_from_json(file))


def read_refused(connection: psycopg.Connection[Any], totals: Mapping[str, Iterable[Total]]) -> dict[str, Arrived]:
    """Return by feed the rows that were refused and are kept, of those feeds that are made of files."""
    runs = [run for run, known in totals.items() if any(total.file is not None for total in known)]
    found: dict[str, Arrived] = {}
    for run, currency, count, amount in connection.execute(_REFUSED, [runs]).fetchall() if runs else ():
        part = Arrived(count) if currency is None else Arrived(0, {currency: Money(count, amount)})
        found[run] = found.get(run, Arrived()).plus([part])
    return found


def _upto(before: Arrived, portions: list[tuple[int, Arrived]], seq: int) -> Arrived:
    return before.plus(arrived for behind, arrived in portions if behind <= seq + 1)
