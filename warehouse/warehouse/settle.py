"""Settles feeds: up to where the gateway's control totals and what has arrived agree, to the cent.

A load writes new totals before it counts, so that what it brings is cut where a total ends. A total that comes after
the events beyond it cuts the portions of earlier loads, from the rows of just those loads.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from contracts.control_total import ControlTotal, Money, amounts_as_json, amounts_from_json, sum_amounts
from contracts.model import Contract
from warehouse.feeds import Portion, Seqs, as_ranges, write_portion
from warehouse.watermark import loaded_ends

# Portions that are settled are kept for so many loads, for whoever wants to look.
KEEP_LOADS = 2_000

Connection = psycopg.Connection[Any]


def write_control_totals(connection: Connection, load_id: int, totals: Iterable[ControlTotal]) -> set[str]:
    """Write new control totals; those that a settled one has overtaken are left out. Return their feeds."""
    runs = set()
    for total in totals:
        runs.add(total.run)
        feed = connection.execute(
            """
            insert into metadata.feeds as f (run, closed_seq, first_load_id, last_load_id) values (%s, %s, %s, %s)
            on conflict (run) do update set closed_seq = coalesce(excluded.closed_seq, f.closed_seq)
            returning settled_seq
            """,
            [total.run, total.seq if total.closed else None, load_id, load_id],
        ).fetchone()
        if feed and total.seq >= feed[0]:
            _write_total(connection, load_id, total)
    return runs


def _write_total(connection: Connection, load_id: int, total: ControlTotal) -> None:
    connection.execute(
        """
        insert into metadata.control_totals as t
            (run, seq, closed, amounts, broken, last_offsets, topic_id, contract, sent_at, load_id)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (run, seq) do update set closed = t.closed or excluded.closed, amounts = excluded.amounts,
            broken = excluded.broken, last_offsets = excluded.last_offsets, topic_id = excluded.topic_id,
            sent_at = excluded.sent_at, load_id = excluded.load_id
        """,
        [
            *(total.run, total.seq, total.closed),
            None if total.amounts is None else Jsonb(amounts_as_json(total.amounts)),
            Jsonb(dict(total.broken)),
            Jsonb({str(partition): offset for partition, offset in total.last_offsets.items()}),
            *(total.topic_id, total.contract, total.sent_at, load_id),
        ],
    )


def cut_earlier_portions(connection: Connection, contract: Contract, runs: Iterable[str]) -> None:
    """Cut what earlier loads brought where a control total ends that was not known then."""
    straddling = connection.execute(
        """
        select p.load_id, p.run, p.upto_seq, p.seqs, p.copies, t.seq
        from metadata.load_feeds p
        join lateral (
            select max(seq) as seq from metadata.control_totals t
            where t.run = p.run and t.seq >= lower(p.seqs) and t.seq < upper(p.seqs) - 1
        ) t on t.seq is not null
        where not p.settled and p.run = any(%s)
        """,
        [list(runs)],
    ).fetchall()
    for load_id, run, upto, seqs, copies, cut in straddling:
        connection.execute(
            "delete from metadata.load_feeds where load_id = %s and run = %s and upto_seq is not distinct from %s",
            [load_id, run, upto],
        )
        below, beyond = Portion(run, cut), Portion(run, upto)
        _recount(connection, contract, load_id, seqs, below=below, beyond=beyond)
        beyond.copies = copies
        for portion in (below, beyond):
            write_portion(connection, load_id, portion)


def _recount(
    connection: Connection, contract: Contract, load_id: int, seqs: Seqs, *, below: Portion, beyond: Portion
) -> None:
    cut = below.upto or 0
    for is_below, currency, count, amount in connection.execute(
        """
        with rows as (
            select seq, currency, amount, partition, "offset" from raw.transactions
            where load_id = %(l)s and run = %(r)s
            union all
            select seq, currency, amount, partition, "offset" from raw.duplicates where load_id = %(l)s and run = %(r)s
            union all
            select seq, currency, amount, partition, "offset" from raw.rejected_transactions
            where load_id = %(l)s and run = %(r)s
            union all
            select seq, null, null, partition, "offset" from raw.dead_letters where load_id = %(l)s and run = %(r)s
        ),
        once as (
            select distinct on (seq) seq, case when currency = any(%(known)s) then currency end as currency, amount
            from rows where seq <@ %(seqs)s::int8multirange order by seq, partition, "offset"
        )
        select seq <= %(cut)s, currency, count(*), sum(amount) from once group by 1, 2
        """,
        {"l": load_id, "r": below.run, "seqs": seqs, "cut": cut, "known": list(contract.currencies)},
    ).fetchall():
        portion = below if is_below else beyond
        portion.events += count
        if currency is None:
            portion.without_amount += count
        else:
            portion.amounts[currency] = Money(count, amount)
    ranges = as_ranges(seqs)
    below.ranges = [(begin, min(behind, cut + 1)) for begin, behind in ranges if begin <= cut]
    beyond.ranges = [(max(begin, cut + 1), behind) for begin, behind in ranges if behind > cut + 1]


@dataclass
class Ends:
    """How far the topics are loaded, this load included."""

    connection: Connection
    topic_id: str | None
    ends: Mapping[int, int]

    def passed(self, topic_id: str | None, last_offsets: Mapping[str, int]) -> bool:
        """Say whether every offset of a total is loaded."""
        ends = self.ends
        if topic_id not in (None, self.topic_id):
            ends = loaded_ends(self.connection, topic_id or "")
        return all(ends.get(int(partition), 0) > offset for partition, offset in last_offsets.items())


def settle(connection: Connection, load_id: int, runs: Iterable[str], ends: Ends) -> None:
    """Bring each feed's settled sums to its newest control total that agrees with what has arrived."""
    waiting = connection.execute(
        """
        select f.run, f.seen, f.settled_seq, f.settled_without_amount, f.settled_amounts from metadata.feeds f
        where f.finished_load_id is null and (f.run = any(%s) or f.run in (
            select run from metadata.control_totals where load_id = %s))
        """,
        [list(runs), load_id],
    ).fetchall()
    for run, seen, settled_seq, without_amount, amounts in waiting:
        _settle_feed(connection, _Feed(run, seen, settled_seq, without_amount, amounts_from_json(amounts)), ends)
    connection.execute(
        "update metadata.feeds set finished_load_id = %s where finished_load_id is null and settled_seq >= closed_seq "
        "and (isempty(seen) or upper(seen) <= closed_seq + 1) and (run = any(%s) or last_load_id = %s)",
        [load_id, list(runs), load_id],
    )
    connection.execute("delete from metadata.load_feeds where settled and load_id < %s", [load_id - KEEP_LOADS])


@dataclass(frozen=True)
class _Feed:
    run: str
    seen: Seqs
    settled_seq: int
    without_amount: int
    amounts: Mapping[str, Money]


def _settle_feed(connection: Connection, feed: _Feed, ends: Ends) -> None:
    totals = connection.execute(
        "select seq, amounts, topic_id, last_offsets from metadata.control_totals where run = %s and seq > %s "
        "order by seq desc",
        [feed.run, feed.settled_seq],
    ).fetchall()
    if not totals:
        return
    portions = connection.execute(
        "select upper(seqs), without_amount, amounts from metadata.load_feeds where run = %s and not settled "
        "and not isempty(seqs)",
        [feed.run],
    ).fetchall()
    for seq, amounts, topic_id, last_offsets in totals:
        if not is_covered(feed.seen, seq) or not ends.passed(topic_id, last_offsets):
            continue
        within = [(rest, amounts_from_json(held)) for behind, rest, held in portions if behind <= seq + 1]
        without_amount = feed.without_amount + sum(rest for rest, _ in within)
        arrived = sum_amounts([feed.amounts, *(held for _, held in within)])
        if agrees(seq, amounts, without_amount, arrived):
            _move(connection, feed.run, seq, without_amount, arrived)
            return


def is_covered(seen: Seqs, seq: int) -> bool:
    """Say whether the numbers 1 to seq have all arrived."""
    return seq == 0 or any(begin <= 1 and behind > seq for begin, behind in as_ranges(seen))


def agrees(seq: int, amounts: Mapping[str, Any] | None, without_amount: int, arrived: Mapping[str, Money]) -> bool:
    """Say whether a total and what has arrived up to it are equal."""
    if amounts is None:
        return without_amount + sum(money.count for money in arrived.values()) == seq
    said = {currency: money for currency, money in amounts_from_json(amounts).items() if money != Money()}
    here = {currency: money for currency, money in arrived.items() if money != Money()}
    return said == here and without_amount == seq - sum(money.count for money in said.values())


def _move(connection: Connection, run: str, seq: int, without_amount: int, amounts: Mapping[str, Money]) -> None:
    connection.execute(
        "update metadata.feeds set settled_seq = %s, settled_without_amount = %s, settled_amounts = %s where run = %s",
        [seq, without_amount, Jsonb(amounts_as_json(amounts)), run],
    )
    connection.execute(
        "update metadata.load_feeds set settled = true where run = %s and not settled "
        "and (isempty(seqs) or upper(seqs) <= %s)",
        [run, seq + 1],
    )
    connection.execute("delete from metadata.control_totals where run = %s and seq < %s", [run, seq])
