"""E0: what its sender says it has sent of a feed = what has arrived of it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from contracts.control_total import Money, amounts_from_json
from contracts.model import Entity
from warehouse.arrivals import Arrived, Ranges, counted, gaps, said
from warehouse.feeds import as_ranges
from warehouse.losses import read_lost
from warehouse.proof.equation import DIFFERENT, OPEN, UNATTESTED, VOID, Equation, Side
from warehouse.proof.forward import Balance, Forward, add
from warehouse.settle import Ends

FEEDS_SHOWN = 20
# Of older feeds that are different, and of those that are open, so many have lines of their own; the rest is counted.
MOST_WRONG_SHOWN = 100
CONTRADICTING = {"control_totals": "contradict an earlier one"}

_FEEDS = """
select f.run, f.seen, f.events, f.without_amount, f.amounts, f.copies, f.settled_seq, f.settled_without_amount,
    f.settled_amounts, f.closed_seq, f.finished_load_id, f.contradictions, v.voided_by, v.reason, f.lost_seqs,
    f.lost_without_amount, f.lost_amounts, f.last_load_id
from metadata.feeds f left join metadata.feed_voids v using (run)
where f.entity = %(entity)s and (f.finished_load_id is null or f.finished_load_id > %(after)s)
order by f.last_load_id desc, f.run
"""
_TOTALS = """
select t.run, t.seq, t.amounts, t.topic_id, t.last_offsets
from metadata.control_totals t join metadata.feeds f using (run)
where f.entity = %(entity)s and (f.finished_load_id is null or f.finished_load_id > %(after)s)
    and t.seq >= f.settled_seq and not f.is_void
order by t.run, t.seq
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


def fold_feeds(books: Iterable[FeedBooks], forward: Forward, ends: Ends) -> list[Equation]:
    """Return E0: the newest feeds on lines of their own, and some that are not equal; the others as sums."""
    shown: list[Equation] = []
    folded, lost = forward.balance("E0"), forward.balance("feeds_lost")
    number = sum(left.count for left, _ in forward.balance("feeds").values())
    void = sum(left.count for left, _ in forward.balance("feeds_void").values())
    unattested, wrong = 0, Counter[str]()
    for place, each in enumerate(books):
        lines = list(judge(each, ends))
        verdicts = {line.verdict for line in lines}
        worst = next((verdict for verdict in (DIFFERENT, OPEN) if verdict in verdicts), None)
        if worst and place >= FEEDS_SHOWN:
            wrong[worst] += 1
        if place < FEEDS_SHOWN or (worst and wrong[worst] <= MOST_WRONG_SHOWN):
            shown += lines
        elif worst:
            pass
        elif VOID in verdicts:
            void += 1
        elif UNATTESTED in verdicts:
            unattested += sum(line.right.count for line in lines)
        else:
            number += 1
            for line in lines:
                add(folded, (line.currency,), line.left, line.right)
                add(lost, (line.currency,), Side(int(line.scope.get("LOST", 0))))
    for (currency,), (left, right) in sorted(folded.items(), key=str):
        gone = lost[(currency,)][0].count if (currency,) in lost else 0
        scope = {"feeds": number, **_without(currency), **_lost(gone)}
        shown.append(Equation("E0", scope, None if currency is None else str(currency), left, right))
    if unattested:
        shown.append(
            Equation("E0", {"feeds": "others without totals"}, None, Side(), Side(unattested), is_unattested=True)
        )
    return [*shown, *_further(wrong, void)]


def _further(wrong: Mapping[str, int], void: int) -> Iterable[Equation]:
    """Yield how many feeds have no line of their own, because there are too many that are not equal or are ended."""
    for verdict, what in ((DIFFERENT, "feeds that are different"), (OPEN, "feeds that are open")):
        more = wrong[verdict] - MOST_WRONG_SHOWN
        if more > 0:
            yield Equation("E0", {"further": what}, None, Side(), Side(more), is_open=verdict == OPEN)
    if void:
        yield Equation("E0", {"feeds": void, "of": "feeds that were ended"}, None, Side(), Side(), is_void=True)


def bring_feeds_forward(books: Iterable[FeedBooks], forward: Forward, upto_load: int, ends: Ends) -> dict[str, Balance]:
    """Return the balances of the feeds that were finished by a load; call it only when all is equal."""
    sums, feeds, lost, void = (forward.balance(name) for name in ("E0", "feeds", "feeds_lost", "feeds_void"))
    for each in books:
        if each.finished_load_id is None or each.finished_load_id > upto_load:
            continue
        if each.void is not None:
            add(void, ("ended",), Side(1))
        else:
            add(feeds, ("finished",), Side(1))
            for line in judge(each, ends):
                add(sums, (line.currency,), line.left, line.right)
                add(lost, (line.currency,), Side(int(line.scope.get("LOST", 0))))
    return {"E0": sums, "feeds": feeds, "feeds_lost": lost, "feeds_void": void}


def feeds_forward(connection: psycopg.Connection[Any], entity: Entity, forward: Forward) -> Forward:
    """Return where E0 begins: at the first feed again when one that was brought forward has gone on since.

    A feed goes on when events come behind its closing total, or another total does.
    """
    row = connection.execute(
        "select exists (select from metadata.feeds where first_finished_load_id <= %(load)s"
        " and entity = %(entity)s and (finished_load_id is null or finished_load_id > %(load)s))",
        {"load": forward.load_id, "entity": entity.name},
    ).fetchone()
    return Forward() if row and row[0] else forward


def read_feeds(connection: psycopg.Connection[Any], entity: Entity, after_load: int) -> Iterable[FeedBooks]:
    """Yield the feeds of an entity that are not brought forward, newest first."""
    which = {"entity": entity.name, "after": after_load}
    totals: dict[str, list[Total]] = {}
    for run, seq, amounts, topic_id, last_offsets in connection.execute(_TOTALS, which).fetchall():
        held = None if amounts is None else amounts_from_json(amounts)
        totals.setdefault(run, []).append(Total(seq, held, topic_id, last_offsets))
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
        )


def _upto(before: Arrived, portions: list[tuple[int, Arrived]], seq: int) -> Arrived:
    return before.plus(arrived for behind, arrived in portions if behind <= seq + 1)


def lost_beyond_acceptance(connection: psycopg.Connection[Any], entity: Entity) -> Iterable[Equation]:
    """Yield a difference where more numbers of feeds count as lost than offsets were accepted as lost."""
    accepted, counted_as_lost = read_lost(connection, entity.name)
    if counted_as_lost > accepted:
        scope = {"of": "events that count as lost, and offsets that are accepted as lost"}
        yield Equation("E0", scope, None, Side(accepted), Side(counted_as_lost))


def judge(feed: FeedBooks, ends: Ends) -> Iterable[Equation]:
    """Yield E0 of a feed."""
    copies = {"copies": feed.copies} if feed.copies else {}
    if feed.void is not None:
        by, reason = feed.void
        scope: dict[str, Any] = {"feed": feed.run, "ended_by": by, "reason": reason, **copies}
        yield Equation("E0", scope, None, Side(), Side(feed.events), is_void=True)
        return
    if feed.contradictions:
        scope = {"feed": feed.run, **CONTRADICTING}
        yield Equation("E0", scope, None, Side(), Side(feed.contradictions))
    if feed.is_none or (feed.settled is None and not feed.waiting and feed.closed_seq is None):
        yield Equation("E0", {"feed": feed.run, **copies}, None, Side(), Side(feed.events), is_unattested=True)
        return
    if feed.settled is not None:
        yield from _compare(feed, feed.settled, 0, copies)
    after = feed.settled[0].seq if feed.settled else 0
    newest = max([after, *(total.seq for total, _ in feed.waiting)])
    passed = [pair for pair in feed.waiting if ends.passed(pair[0].topic_id, pair[0].last_offsets)]
    if passed:
        yield from _compare(feed, passed[0], after, {})
    elif feed.waiting:
        scope = {"feed": feed.run, "events": [after + 1, newest], "waits_for": "load"}
        yield Equation("E0", scope, None, Side(newest - after), Side(_count(feed.seen, after, newest)), is_open=True)
    beyond = feed.events - _count(feed.seen, 0, newest)
    if feed.closed_seq is None:
        scope = {"feed": feed.run, "events_beyond_the_last_total": beyond, "waits_for": "closing total"}
        yield Equation("E0", scope, None, Side(), Side(beyond), is_open=True)
    elif beyond:
        yield Equation("E0", {"feed": feed.run, "events_behind_the_closing_total": beyond}, None, Side(), Side(beyond))


def _compare(feed: FeedBooks, pair: tuple[Total, Arrived], after: int, copies: dict[str, Any]) -> Iterable[Equation]:
    total, arrived = pair
    scope: dict[str, Any] = {"feed": feed.run, "events": [after + 1, total.seq]}
    scope |= {"closed": True} if feed.closed_seq == total.seq else {}
    scope |= copies
    if not is_covered_by([*feed.seen, *feed.lost_seqs], total.seq):
        scope["missing"] = missing([*feed.seen, *feed.lost_seqs], total.seq)
    if total.amounts is None:
        lost = feed.lost.events
        yield Equation("E0", scope | _lost(lost), None, Side(total.seq), Side(arrived.events + lost))
        return
    here = arrived.plus([feed.lost])
    for currency in sorted({*total.amounts, *here.amounts}):
        sides = [
            Side(m.count, m.amount) for m in (total.amounts.get(currency, Money()), here.amounts.get(currency, Money()))
        ]
        lost = feed.lost.amounts.get(currency, Money()).count
        yield Equation("E0", scope | _lost(lost), currency, sides[0], sides[1])
    rest = said(total.seq, total.amounts).without_amount
    if rest or here.without_amount:
        scope |= _without(None) | _lost(feed.lost.without_amount)
        yield Equation("E0", scope, None, Side(rest), Side(here.without_amount))


def _lost(count: int) -> dict[str, int]:
    return {"LOST": count} if count else {}


def _without(currency: object) -> dict[str, str]:
    return {} if currency else {"of": "events without an amount"}


def is_covered_by(seen: Ranges, seq: int) -> bool:
    """Say whether the numbers 1 to seq have all arrived."""
    return not gaps(seen, seq)


def missing(seen: Ranges, seq: int) -> str:
    """Return the numbers up to seq that have not arrived, the first few ranges of them."""
    found = [str(begin) if begin == behind - 1 else f"{begin}-{behind - 1}" for begin, behind in gaps(seen, seq)]
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more ranges" if len(found) > 5 else "")


def _count(seen: Ranges, after: int, upto: int) -> int:
    return counted((max(begin, after + 1), max(after + 1, begin, min(behind, upto + 1))) for begin, behind in seen)
