"""E0: what its sender says it has sent of a feed = what has arrived of it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from contracts.control_total import Amounts, FileTotal, Money
from contracts.model import Entity
from warehouse.arrivals import Arrived, Ranges, counted, gaps, said
from warehouse.losses import read_lost
from warehouse.proof.equation import DIFFERENT, OPEN, UNATTESTED, VOID, Equation, Side
from warehouse.proof.feed_books import FeedBooks, Total
from warehouse.proof.forward import Balance, Forward, add
from warehouse.settle import Ends

FEEDS_SHOWN = 20
# Of older feeds that are different, and of those that are open, so many have lines of their own; the rest is counted.
MOST_WRONG_SHOWN = 100
CONTRADICTING = {"control_totals": "contradict an earlier one"}


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
    amounts: Amounts = total.amounts
    events = total.seq
    if total.file is not None and feed.closed_seq == total.seq:
        # The whole file: its rows were sent, refused and kept, or left out by the mapping.
        left_out = total.file.left_out
        here = here.plus([feed.refused, Arrived(left_out.without_amount, left_out.amounts)])
        amounts, events = total.file.rows.amounts, total.file.rows.count
        scope |= _of_file(total.file)
    for currency in sorted({*amounts, *here.amounts}):
        sides = [Side(m.count, m.amount) for m in (amounts.get(currency, Money()), here.amounts.get(currency, Money()))]
        lost = feed.lost.amounts.get(currency, Money()).count
        yield Equation("E0", scope | _lost(lost), currency, sides[0], sides[1])
    rest = said(events, amounts).without_amount
    if rest or here.without_amount:
        scope |= _without(None) | _lost(feed.lost.without_amount)
        yield Equation("E0", scope, None, Side(rest), Side(here.without_amount))


def _of_file(file: FileTotal) -> dict[str, Any]:
    """Return what a line says of the file that it counts."""
    apart = {"refused": file.refused.count, "left_out": file.left_out.count}
    return {"file": file.name, "rows": file.rows.count, **{name: count for name, count in apart.items() if count}}


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
