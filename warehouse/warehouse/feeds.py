# ruff: noqa: S608  (the contract's currencies; values are parameters or registered tables)
"""What a load brings of each feed: numbers that are new, once each, and re-sent copies beside.

Which numbers have come before is a multirange per feed, so that counting costs what the load holds. Events without
run or seq are the feed (none), as are those whose run is no id of a feed, or that of a feed of another entity.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
from psycopg.types.json import Jsonb
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from contracts.control_total import Money, amounts_as_json, amounts_from_json, sum_amounts
from contracts.model import Entity
from contracts.rules import HAS_FEED

Seqs = Multirange[int]


@dataclass
class Portion:
    """What a load brings of a feed between two control totals.

    Attributes:
        upto: the total that it ends at; None beyond the newest one known.
        events: numbers that had not come before.
        without_amount: those of them that no currency counts: dead letters, currencies outside the contract.
        copies: events whose number had come before.
        ranges: the new numbers, begin and behind.
    """

    run: str
    upto: int | None
    events: int = 0
    without_amount: int = 0
    copies: int = 0
    amounts: dict[str, Money] = field(default_factory=dict)
    ranges: list[tuple[int, int]] = field(default_factory=list)

    @property
    def seqs(self) -> Seqs:
        """The new numbers as the database holds them."""
        return as_multirange(self.ranges)


def as_multirange(ranges: Iterable[tuple[int, int]]) -> Seqs:
    """Return ranges, begin and behind, as a multirange."""
    return Multirange([Range(begin, behind) for begin, behind in sorted(ranges)])


def as_ranges(seqs: Seqs) -> list[tuple[int, int]]:
    """Return the opposite of as_multirange."""
    return [(int(each.lower or 0), int(each.upper or 0)) for each in seqs]


def gather_arrived(workspace: duckdb.DuckDBPyConnection, entity: Entity, before: Mapping[int, int]) -> frozenset[str]:
    """Make the table arrived of a load's events and dead letters; return their feeds.

    Args:
        workspace: DuckDB with events and dead.
        entity: whose events they are.
        before: the offset behind the last one that any load had, by partition: what lies before has been counted.
    """
    _register_before(workspace, before)
    known = ", ".join(f"'{currency}'" for currency in entity.currencies)
    workspace.execute(f"""
        create table arrived as
        select case when {HAS_FEED} then run else '{entity.no_feed}' end as run,
            case when {HAS_FEED} then seq end as seq, known,
            case when known is not null then amount end as amount, "partition", "offset"
        from (
            select run, seq, case when currency in ({known}) then currency end as known, amount, "partition", "offset"
            from events
            union all select run, seq, null, null, "partition", "offset" from dead
        ) left join counted_before using ("partition")
        where "offset" >= coalesce(behind, 0)
    """)
    return frozenset(run for (run,) in workspace.execute("select distinct run from arrived").fetchall())


def count_feeds(
    connection: psycopg.Connection[Any],
    workspace: duckdb.DuckDBPyConnection,
    entity: Entity,
    arrived: Iterable[str],
) -> list[Portion]:
    """Count the table arrived by feed.

    Args:
        connection: the loader's, inside its transaction, with the load's new control totals in it.
        workspace: DuckDB, after gather_arrived.
        entity: whose events they are.
        arrived: the feeds of the table.
    """
    runs = list(arrived)
    _take_out_foreign(workspace, entity, _register_seen(connection, workspace, entity, runs))
    _register_cuts(connection, workspace, runs)
    workspace.execute("""
        create table numbered as
        select a.run, a.seq, a.known, a.amount, c.upto, a.seq is null or (
            row_number() over (partition by a.run, a.seq order by a."partition", a."offset") = 1
            and not coalesce(a.seq < s.behind, false)) as is_first
        from (select * from arrived) a
        asof left join seen s on a.run = s.run and a.seq >= s.begin
        asof left join cuts c on a.run = c.run and a.seq <= c.upto
    """)
    return _portions(workspace)


def _portions(workspace: duckdb.DuckDBPyConnection) -> list[Portion]:
    found: dict[tuple[str, int | None], Portion] = {}
    for run, upto, known, count, amount, copies in workspace.execute("""
        select run, upto, known, count(*) filter (is_first), coalesce(sum(amount) filter (is_first), 0),
            count(*) filter (not is_first)
        from numbered group by 1, 2, 3
    """).fetchall():
        portion = found.setdefault((run, upto), Portion(run, upto))
        portion.events += count
        portion.copies += copies
        if known is None:
            portion.without_amount += count
        elif count:
            portion.amounts[known] = Money(count, amount)
    for run, upto, begin, behind in workspace.execute("""
        select run, upto, min(seq), max(seq) + 1 from (
            select run, upto, seq, seq - row_number() over (partition by run order by seq) as island
            from numbered where is_first and seq is not null
        ) group by run, upto, island
    """).fetchall():
        found[run, upto].ranges.append((begin, behind))
    return list(found.values())


def _register_before(workspace: duckdb.DuckDBPyConnection, before: Mapping[int, int]) -> None:
    columns = {"partition": pa.array(list(before), pa.int32()), "behind": pa.array(list(before.values()), pa.int64())}
    workspace.register("counted_before", pa.table(columns))


def _register_seen(
    connection: psycopg.Connection[Any], workspace: duckdb.DuckDBPyConnection, entity: Entity, runs: list[str]
) -> list[str]:
    """Register the numbers that have come of the entity's feeds; return those runs that are feeds of another one."""
    rows = connection.execute(
        "select run, entity, lower(each), upper(each) from metadata.feeds left join lateral unnest(seen) as each "
        "on true where run = any(%s)",
        [runs],
    ).fetchall()
    seen = [row for row in rows if row[1] == entity.name and row[2] is not None]
    columns = {
        "run": pa.array([row[0] for row in seen], pa.string()),
        "begin": pa.array([row[2] for row in seen], pa.int64()),
        "behind": pa.array([row[3] for row in seen], pa.int64()),
    }
    workspace.register("seen", pa.table(columns))
    return sorted({row[0] for row in rows if row[1] != entity.name})


def _take_out_foreign(workspace: duckdb.DuckDBPyConnection, entity: Entity, foreign: list[str]) -> None:
    """Let events that name a feed of another entity be without one."""
    if foreign:
        workspace.execute("update arrived set run = ?, seq = null where run in ?", [entity.no_feed, foreign])


def _register_cuts(connection: psycopg.Connection[Any], workspace: duckdb.DuckDBPyConnection, runs: list[str]) -> None:
    rows = connection.execute("select run, seq from metadata.control_totals where run = any(%s)", [runs]).fetchall()
    columns = {
        "run": pa.array([row[0] for row in rows], pa.string()),
        "upto": pa.array([row[1] for row in rows], pa.int64()),
    }
    workspace.register("cuts", pa.table(columns))


_ADD_FEED = """
insert into metadata.feeds as f
    (run, entity, seen, events, without_amount, amounts, copies, first_load_id, last_load_id)
values (%(run)s, %(entity)s, %(seen)s, %(events)s, %(without_amount)s, %(amounts)s, %(copies)s, %(load_id)s,
    %(load_id)s)
on conflict (run) do update set seen = f.seen + excluded.seen, events = f.events + excluded.events,
    without_amount = f.without_amount + excluded.without_amount, amounts = %(sums)s,
    copies = f.copies + excluded.copies, last_load_id = excluded.last_load_id,
    finished_load_id = case
        when f.is_void or not f.lost_seqs && excluded.seen and coalesce(upper(excluded.seen) <= f.closed_seq + 1, true)
        then f.finished_load_id end
"""


def write_feeds(connection: psycopg.Connection[Any], load_id: int, entity: Entity, portions: list[Portion]) -> None:
    """Add what a load brought to the books of its feeds, inside the load's transaction."""
    by_run: dict[str, list[Portion]] = {}
    for portion in portions:
        by_run.setdefault(portion.run, []).append(portion)
        if portion.run != entity.no_feed:
            write_portion(connection, load_id, portion)
    known = dict(
        connection.execute("select run, amounts from metadata.feeds where run = any(%s)", [list(by_run)]).fetchall()
    )
    for run, parts in by_run.items():
        amounts = sum_amounts(part.amounts for part in parts)
        connection.execute(
            _ADD_FEED,
            {
                "run": run,
                "entity": entity.name,
                "load_id": load_id,
                "seen": as_multirange(each for part in parts for each in part.ranges),
                "events": sum(part.events for part in parts),
                "without_amount": sum(part.without_amount for part in parts),
                "copies": sum(part.copies for part in parts),
                "amounts": Jsonb(amounts_as_json(amounts)),
                "sums": Jsonb(amounts_as_json(sum_amounts([amounts_from_json(known.get(run, {})), amounts]))),
            },
        )


def write_portion(connection: psycopg.Connection[Any], load_id: int, portion: Portion) -> None:
    """Write one portion of a load."""
    connection.execute(
        "insert into metadata.load_feeds (load_id, run, upto_seq, seqs, events, without_amount, amounts, copies) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s)",
        [
            *(load_id, portion.run, portion.upto, portion.seqs, portion.events, portion.without_amount),
            *(Jsonb(amounts_as_json(portion.amounts)), portion.copies),
        ],
    )
