# ruff: noqa: S608  (table names come from the contract; values are parameters)
"""Cuts what earlier loads brought of a feed where a control total ends that came after the events beyond it."""

from collections.abc import Iterable
from typing import Any

import psycopg

from contracts.control_total import Money
from contracts.entities import load_entity
from contracts.model import Entity
from warehouse.feeds import Portion, Seqs, as_ranges, write_portion

Connection = psycopg.Connection[Any]


def cut_earlier_portions(connection: Connection, runs: Iterable[str]) -> None:
    """Cut what earlier loads brought where a control total ends that was not known then."""
    straddling = connection.execute(
        """
        select f.entity, p.load_id, p.run, p.upto_seq, p.seqs, p.copies, t.seq
        from metadata.load_feeds p join metadata.feeds f using (run)
        join lateral (
            select max(seq) as seq from metadata.control_totals t
            where t.run = p.run and t.seq >= lower(p.seqs) and t.seq < upper(p.seqs) - 1
        ) t on t.seq is not null
        where not p.settled and p.run = any(%s)
        """,
        [list(runs)],
    ).fetchall()
    for name, load_id, run, upto, seqs, copies, cut in straddling:
        connection.execute(
            "delete from metadata.load_feeds where load_id = %s and run = %s and upto_seq is not distinct from %s",
            [load_id, run, upto],
        )
        below, beyond = Portion(run, cut), Portion(run, upto)
        _recount(connection, load_entity(name), load_id, seqs, below=below, beyond=beyond)
        beyond.copies = copies
        for portion in (below, beyond):
            write_portion(connection, load_id, portion)


def _recount(
    connection: Connection, entity: Entity, load_id: int, seqs: Seqs, *, below: Portion, beyond: Portion
) -> None:
    cut = below.upto or 0
    for is_below, currency, count, amount in connection.execute(
        f"""
        with rows as (
            select seq, currency, amount, partition, "offset" from {entity.silver}
            where load_id = %(l)s and run = %(r)s
            union all
            select seq, currency, amount, partition, "offset" from {entity.duplicates}
            where load_id = %(l)s and run = %(r)s
            union all
            select seq, currency, amount, partition, "offset" from {entity.rejected}
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
        {"l": load_id, "r": below.run, "seqs": seqs, "cut": cut, "known": list(entity.currencies)},
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
