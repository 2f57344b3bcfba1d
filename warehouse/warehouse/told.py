"""The gateway's control totals of a load: kept, and what has arrived is cut where they end.

A load writes new totals before it counts, so that what it brings is cut where a total ends. A total that comes after
the events beyond it cuts the portions of earlier loads, from the rows of just those loads.
"""

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from contracts.control_total import ControlTotal, Money, amounts_as_json
from contracts.model import Contract
from warehouse.feeds import Portion, Seqs, as_ranges, write_portion

Connection = psycopg.Connection[Any]


def write_control_totals(connection: Connection, load_id: int, totals: Iterable[ControlTotal]) -> set[str]:
    """Write new control totals; those that a settled one has overtaken are left out. Return their feeds."""
    runs = set()
    for total in totals:
        runs.add(total.run)
        feed = connection.execute(
            """
            insert into metadata.feeds as f (run, closed_seq, first_load_id, last_load_id) values (%s, %s, %s, %s)
            on conflict (run) do update set closed_seq = coalesce(excluded.closed_seq, f.closed_seq),
                finished_load_id = case when %s <= f.settled_seq then f.finished_load_id end
            returning settled_seq
            """,
            [total.run, total.seq if total.closed else None, load_id, load_id, total.seq],
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
