"""E0: what the gateway says it has sent of a feed = what has arrived of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from contracts.control_total import Money, amounts_from_json, sum_amounts
from warehouse.feeds import NO_FEED, as_ranges
from warehouse.proof.equation import OK, UNATTESTED, Equation, Side
from warehouse.proof.forward import Balance, Forward, add
from warehouse.settle import Ends

FEEDS_SHOWN = 20

Ranges = list[tuple[int, int]]

_FEEDS = """
select f.run, f.seen, f.events, f.without_amount, f.amounts, f.copies, f.settled_seq, f.settled_without_amount,
    f.settled_amounts, f.closed_seq, f.finished_load_id
from metadata.feeds f where f.finished_load_id is null or f.finished_load_id > %s
order by f.last_load_id desc, f.run
"""
_TOTALS = """
select t.run, t.seq, t.amounts, t.topic_id, t.last_offsets
from metadata.control_totals t join metadata.feeds f using (run)
where f.finished_load_id is null or f.finished_load_id > %s order by t.run, t.seq
"""
_PORTIONS = """
select p.run, upper(p.seqs), p.without_amount, p.amounts from metadata.load_feeds p
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
class Arrived:
    """What has arrived of a feed up to some number: events without an amount, and money by currency."""

    without_amount: int
    amounts: Mapping[str, Money]

    @property
    def events(self) -> int:
        """All of them."""
        return self.without_amount + sum(money.count for money in self.amounts.values())


@dataclass(frozen=True)
class FeedBooks:
    """What is known of a feed.

    Attributes:
        seen: its numbers that have arrived, as ranges.
        events: how many numbers that are; for events without a number, the events.
        settled: the total up to which gateway and arrivals were found equal, and what had arrived then.
        waiting: newer totals, oldest first, each with what has arrived up to it.
    """

    run: str
    seen: Ranges
    events: int
    copies: int
    closed_seq: int | None
    finished_load_id: int | None
    settled: tuple[Total, Arrived] | None
    waiting: tuple[tuple[Total, Arrived], ...]


def fold_feeds(books: Iterable[FeedBooks], forward: Forward, ends: Ends) -> list[Equation]:
    """Return E0: the newest feeds on lines of their own, as all that are not equal; the others as sums."""
    shown: list[Equation] = []
    folded = forward.balance("E0")
    number = sum(left.count for left, _ in forward.balance("feeds").values())
    unattested = 0
    for place, each in enumerate(books):
        lines = list(judge(each, ends))
        verdicts = {line.verdict for line in lines}
        if place < FEEDS_SHOWN or not (verdicts == {UNATTESTED} or verdicts <= {OK}):
            shown += lines
        elif UNATTESTED in verdicts:
            unattested += sum(line.right.count for line in lines)
        else:
            number += 1
            for line in lines:
                add(folded, (line.currency,), line.left, line.right)
    for (currency,), (left, right) in sorted(folded.items(), key=str):
        scope = {"feeds": number, **_without(currency)}
        shown.append(Equation("E0", scope, None if currency is None else str(currency), left, right))
    if unattested:
        scope = {"feeds": "others without totals"}
        shown.append(Equation("E0", scope, None, Side(), Side(unattested), is_unattested=True))
    return shown


def bring_feeds_forward(books: Iterable[FeedBooks], forward: Forward, upto_load: int, ends: Ends) -> dict[str, Balance]:
    """Return the balances of the feeds that were finished by a load; call it only when all is equal."""
    sums, feeds = forward.balance("E0"), forward.balance("feeds")
    for each in books:
        if each.finished_load_id is not None and each.finished_load_id <= upto_load:
            add(feeds, ("finished",), Side(1))
            for line in judge(each, ends):
                add(sums, (line.currency,), line.left, line.right)
    return {"E0": sums, "feeds": feeds}


def read_feeds(connection: psycopg.Connection[Any], after_load: int) -> Iterable[FeedBooks]:
    """Yield the feeds that are not brought forward, newest first."""
    totals: dict[str, list[Total]] = {}
    for run, seq, amounts, topic_id, last_offsets in connection.execute(_TOTALS, [after_load]).fetchall():
        held = None if amounts is None else amounts_from_json(amounts)
        totals.setdefault(run, []).append(Total(seq, held, topic_id, last_offsets))
    portions: dict[str, list[tuple[int, Arrived]]] = {}
    for run, behind, without_amount, amounts in connection.execute(_PORTIONS).fetchall():
        portions.setdefault(run, []).append((behind, Arrived(without_amount, amounts_from_json(amounts))))
    for row in connection.execute(_FEEDS, [after_load]).fetchall():
        run, seen, events, _, _, copies, settled_seq, without_amount, amounts, closed_seq, finished = row
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
            settled=(settled or Total(settled_seq, {}, None, {}), before) if settled_seq else None,
            waiting=tuple((t, _upto(before, portions.get(run, []), t.seq)) for t in known if t.seq > settled_seq),
        )


def _upto(before: Arrived, portions: list[tuple[int, Arrived]], seq: int) -> Arrived:
    within = [arrived for behind, arrived in portions if behind <= seq + 1]
    rest = before.without_amount + sum(arrived.without_amount for arrived in within)
    return Arrived(rest, sum_amounts([before.amounts, *(arrived.amounts for arrived in within)]))


def judge(feed: FeedBooks, ends: Ends) -> Iterable[Equation]:
    """Yield E0 of a feed."""
    said = {"copies": feed.copies} if feed.copies else {}
    if feed.run == NO_FEED or (feed.settled is None and not feed.waiting and feed.closed_seq is None):
        yield Equation("E0", {"feed": feed.run, **said}, None, Side(), Side(feed.events), is_unattested=True)
        return
    if feed.settled is not None:
        yield from _compare(feed, feed.settled, 0, said)
    after = feed.settled[0].seq if feed.settled else 0
    newest = max([after, *(total.seq for total, _ in feed.waiting)])
    passed = [pair for pair in feed.waiting if ends.passed(pair[0].topic_id, pair[0].last_offsets)]
    if passed:
        yield from _compare(feed, passed[0], after, {})
    elif feed.waiting:
        scope: dict[str, Any] = {"feed": feed.run, "events": [after + 1, newest], "waits_for": "load"}
        yield Equation("E0", scope, None, Side(newest - after), Side(_count(feed.seen, after, newest)), is_open=True)
    beyond = feed.events - _count(feed.seen, 0, newest)
    if feed.closed_seq is None:
        scope = {"feed": feed.run, "events_beyond_the_last_total": beyond, "waits_for": "closing total"}
        yield Equation("E0", scope, None, Side(), Side(beyond), is_open=True)
    elif beyond:
        yield Equation("E0", {"feed": feed.run, "events_behind_the_closing_total": beyond}, None, Side(), Side(beyond))


def _compare(feed: FeedBooks, pair: tuple[Total, Arrived], after: int, said: dict[str, Any]) -> Iterable[Equation]:
    total, arrived = pair
    scope: dict[str, Any] = {"feed": feed.run, "events": [after + 1, total.seq]}
    scope |= {"closed": True} if feed.closed_seq == total.seq else {}
    scope |= said
    if not is_covered_by(feed.seen, total.seq):
        scope["missing"] = missing(feed.seen, total.seq)
    if total.amounts is None:
        yield Equation("E0", scope, None, Side(total.seq), Side(arrived.events))
        return
    for currency in sorted({*total.amounts, *arrived.amounts}):
        sides = [
            Side(m.count, m.amount)
            for m in (total.amounts.get(currency, Money()), arrived.amounts.get(currency, Money()))
        ]
        yield Equation("E0", scope, currency, sides[0], sides[1])
    rest = total.seq - sum(money.count for money in total.amounts.values())
    if rest or arrived.without_amount:
        yield Equation("E0", scope | _without(None), None, Side(rest), Side(arrived.without_amount))


def _without(currency: object) -> dict[str, str]:
    return {} if currency else {"of": "events without an amount"}


def is_covered_by(seen: Ranges, seq: int) -> bool:
    """Say whether the numbers 1 to seq have all arrived."""
    return seq == 0 or any(begin <= 1 and behind > seq for begin, behind in seen)


def missing(seen: Ranges, seq: int) -> str:
    """Return the numbers up to seq that have not arrived, the first few ranges of them."""
    gaps, at = [], 1
    for begin, behind in [*sorted(seen), (seq + 1, seq + 1)]:
        if begin > at and at <= seq:
            last = min(begin - 1, seq)
            gaps.append(str(at) if at == last else f"{at}-{last}")
        at = max(at, behind)
    return ", ".join(gaps[:5]) + (f" and {len(gaps) - 5} more ranges" if len(gaps) > 5 else "")


def _count(seen: Ranges, after: int, upto: int) -> int:
    return sum(max(0, min(behind, upto + 1) - max(begin, after + 1)) for begin, behind in seen)
