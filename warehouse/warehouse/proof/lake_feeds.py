# ruff: noqa: S608  (the contract's currencies)
"""E0 of `--full`: feeds counted in the lake's own files, each number once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import duckdb
import psycopg

from contracts.control_total import Money, amounts_from_json
from contracts.model import Entity
from contracts.rules import HAS_FEED
from warehouse.arrivals import Arrived, Ranges, agrees, gaps
from warehouse.feeds import as_ranges
from warehouse.proof.equation import Equation
from warehouse.proof.feed_books import FeedBooks, Total, read_refused, read_total
from warehouse.proof.feeds import fold_feeds
from warehouse.proof.forward import Forward
from warehouse.settle import Ends
from warehouse.totals import currency_sql

_TOTALS = """
select t.run, t.seq, t.amounts, t.topic_id, t.last_offsets, t.file
from metadata.control_totals t join metadata.feeds f using (run) where f.entity = %s order by 1, 2
"""
_FEEDS = """
select f.run, f.closed_seq, f.contradictions, v.voided_by, v.reason
from metadata.feeds f left join metadata.feed_voids v using (run) where f.entity = %s
order by f.last_load_id desc, f.run
"""
_LOST = """
select run, lost_seqs, lost_without_amount, lost_amounts from metadata.feeds
where not isempty(lost_seqs) and entity = %s
"""
# Events that name a feed of another entity name none.
_OF_OTHERS = "select run from metadata.feeds where entity <> %s"

_EXPIRED = "select distinct run from metadata.retention_floor where book = 'DEAD_LETTERS' and run is not null"


@dataclass(frozen=True)
class _Known:
    closed_seq: int | None = None
    contradictions: int = 0
    void: tuple[str, str] | None = None


def feeds_in_lake(
    connection: psycopg.Connection[Any],
    workspace: duckdb.DuckDBPyConnection,
    entity: Entity,
    topic_id: str | None,
    ends: dict[int, int],
) -> Iterable[Equation]:
    """Yield E0 as the table lake of the workspace has it."""
    of_others = [run for (run,) in connection.execute(_OF_OTHERS, [entity.name]).fetchall()]
    workspace.execute("update lake set run = null, seq = null where run in (select unnest(?::varchar[]))", [of_others])
    workspace.execute(f"""
        create table once as
        select run, seq, known, case when known is not null then amount end as amount from (
            select run, seq, {currency_sql(entity)} as known, amount,
                row_number() over (partition by run, seq order by topic_id, "partition", "offset") as copy
            from lake where {HAS_FEED}
        ) where copy = 1
    """)
    # A feed whose dead letters have expired cannot be counted in the lake any more: its books stand.
    expired = [run for (run,) in connection.execute(_EXPIRED).fetchall()]
    workspace.execute("delete from once where run in (select unnest(?::varchar[]))", [expired])
    totals: dict[str, list[Total]] = {}
    for run, *total in connection.execute(_TOTALS, [entity.name]).fetchall():
        if run not in expired:
            totals.setdefault(run, []).append(read_total(*total))
    refused = read_refused(connection, totals)
    known = {
        run: _Known(closed_seq, contradictions, None if voided_by is None else (voided_by, reason))
        for run, closed_seq, contradictions, voided_by, reason in connection.execute(_FEEDS, [entity.name]).fetchall()
        if run not in expired
    }
    lost = {
        run: (as_ranges(seqs), Arrived(without_amount, amounts_from_json(amounts)))
        for run, seqs, without_amount, amounts in connection.execute(_LOST, [entity.name]).fetchall()
    }
    books = _books(workspace, entity, totals, known, lost, refused=refused)
    yield from fold_feeds(books, Forward(), Ends(connection, topic_id, ends))


def _books(
    workspace: duckdb.DuckDBPyConnection,
    entity: Entity,
    totals: dict[str, list[Total]],
    known: dict[str, _Known],
    lost: dict[str, tuple[Ranges, Arrived]],
    *,
    refused: dict[str, Arrived],
) -> Iterable[FeedBooks]:
    seen: dict[str, Ranges] = {}
    for run, begin, behind in workspace.execute("""
        select run, min(seq), max(seq) + 1 from (
            select run, seq, seq - row_number() over (partition by run order by seq) as island from once
        ) group by run, island order by 1, 2
    """).fetchall():
        seen.setdefault(run, []).append((begin, behind))
    counted = dict(workspace.execute(
        f"select run, count(*) from lake where {HAS_FEED} group by 1"
    ).fetchall())  # fmt: skip
    told = {*seen, *totals, *(run for run, book in known.items() if book.void)}
    newest_first = [run for run in known if run in told]
    for run in [*newest_first, *sorted(told.difference(newest_first))]:
        ranges = seen.get(run, [])
        events = sum(behind - begin for begin, behind in ranges)
        lost_seqs, gone = lost.get(run, ([], Arrived()))
        book = known.get(run, _Known())
        settled: tuple[Total, Arrived] | None = None
        waiting: list[tuple[Total, Arrived]] = []
        # From the newest: a total that agrees says what the ones before it said.
        for total in reversed(totals.get(run, []) if book.void is None else []):
            here = _upto(workspace, run, total.seq) if ranges else Arrived()
            if _is_settled([*ranges, *lost_seqs], total, here.plus([gone])):
                settled = (total, here)
                break
            waiting.insert(0, (total, here))
        yield FeedBooks(
            run=run,
            seen=ranges,
            events=events,
            copies=counted.get(run, 0) - events,
            closed_seq=book.closed_seq,
            finished_load_id=None,
            contradictions=book.contradictions,
            void=book.void,
            settled=settled,
            waiting=tuple(waiting),
            lost_seqs=lost_seqs,
            lost=gone,
            refused=refused.get(run, Arrived()),
        )
    rows = workspace.execute(f"select count(*) from lake where coalesce(not {HAS_FEED}, true)").fetchall()
    if rows[0][0]:
        yield FeedBooks(entity.no_feed, [], rows[0][0], 0, None, None, None, (), is_none=True)


def _is_settled(seen: Ranges, total: Total, arrived: Arrived) -> bool:
    return not gaps(seen, total.seq) and agrees(total.seq, total.amounts, arrived)


def _upto(workspace: duckdb.DuckDBPyConnection, run: str, seq: int) -> Arrived:
    rows = workspace.execute(
        "select known, count(*), sum(amount) from once where run = ? and seq <= ? group by 1", [run, seq]
    ).fetchall()
    without_amount = sum(count for known, count, _ in rows if known is None)
    return Arrived(without_amount, {known: Money(count, amount) for known, count, amount in rows if known is not None})
