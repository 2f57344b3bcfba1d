"""The totals against gold, once a build: what came after the build is taken off, and nothing may be left."""

from dataclasses import astuple, dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from live.gold import Sums, daily_sums, read_gold

Connection = psycopg.Connection[Any]

KEEP_CHECKS = 500
# Opening the totals anew empties them: not while they are compared.
COMPARED = ("live.totals", "live.changes", "live.positions")

_LIVE = "select currency, status, sum(count)::bigint, sum(amount) from live.totals group by 1, 2"
_BEYOND = """
select currency, status, sum(count)::bigint, sum(amount) from live.changes
where "offset" >= coalesce((%s::jsonb ->> partition::text)::bigint, 0) group by 1, 2
"""
_COVERED = """delete from live.changes where "offset" < coalesce((%s::jsonb ->> partition::text)::bigint, 0)"""


@dataclass(frozen=True)
class Line:
    """One currency and status: what the live view says of the moment that gold speaks of, and what gold says."""

    currency: str
    status: str
    live_count: int
    live_amount: Decimal
    gold_count: int
    gold_amount: Decimal

    @property
    def is_equal(self) -> bool:
        """True where both say the same."""
        return (self.live_count, self.live_amount) == (self.gold_count, self.gold_amount)


@dataclass(frozen=True)
class Check:
    """A comparison.

    Attributes:
        verdict: OK, DIFFERENT, or UNCHECKED with why.
        is_waiting: it cannot be judged yet, and will be by itself.
    """

    build_id: UUID | None
    ends: dict[int, int]
    lines: list[Line]
    verdict: str
    why: str | None = None
    is_waiting: bool = False


def compare(connection: Connection, topic_id: str) -> Check:
    """Compare the totals with gold. Call it inside a snapshot with COMPARED; it only reads."""
    gold = read_gold(connection, topic_id)
    if gold is None:
        return Check(None, {}, [], "UNCHECKED", "there is no build yet", is_waiting=True)
    if gold.left_out is not None:
        why = f"gold does not hold load {gold.left_out}, but later ones; the next build takes it in"
        return Check(gold.build_id, gold.ends, [], "UNCHECKED", why, is_waiting=True)
    if not gold.is_whole:
        return Check(gold.build_id, gold.ends, [], "UNCHECKED", "a build is under way", is_waiting=True)
    positions = dict(
        connection.execute("select partition, next_offset from live.positions where topic_id = %s", [topic_id])
    )
    if not positions:
        return Check(gold.build_id, gold.ends, [], "UNCHECKED", "the live view has not begun", is_waiting=True)
    behind = sum(max(0, end - positions.get(partition, 0)) for partition, end in gold.ends.items())
    if behind:
        why = f"the live view has still {behind} events to count that gold holds"
        return Check(gold.build_id, gold.ends, [], "UNCHECKED", why, is_waiting=True)
    lines = _lines(connection, gold.ends)
    verdict = "OK" if all(line.is_equal for line in lines) else "DIFFERENT"
    return Check(gold.build_id, gold.ends, lines, verdict)


def _lines(connection: Connection, ends: dict[int, int]) -> list[Line]:
    live: Sums = {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(_LIVE)}
    for currency, status, count, amount in connection.execute(_BEYOND, [Jsonb(ends)]):
        held, sum_held = live.get((currency, status), (0, Decimal(0)))
        live[currency, status] = (held - count, sum_held - amount)
    gold = daily_sums(connection)
    nothing = (0, Decimal(0))
    return [
        Line(*key, *live.get(key, nothing), *gold.get(key, nothing))
        for key in sorted({*live, *gold})
        if live.get(key, nothing) != nothing or key in gold
    ]


def check_newest_build(connection: Connection, topic_id: str) -> Check | None:
    """Compare with the newest build and write that down; None where it is written already or cannot be judged yet.

    Call it inside a snapshot with COMPARED. Changes that the check has covered are forgotten.
    """
    newest = connection.execute(
        "select build_id from metadata.consumer_watermarks where consumer = 'fact_transactions' "
        "and not exists (select from live.checks c where c.build_id = consumer_watermarks.build_id)"
    ).fetchone()
    if newest is None:
        return None
    check = compare(connection, topic_id)
    if check.is_waiting:
        return None
    connection.execute(
        "insert into live.checks (build_id, topic_id, ends, verdict, why) values (%s, %s, %s, %s, %s)",
        [check.build_id, topic_id, Jsonb(check.ends), check.verdict, check.why],
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into live.drift (build_id, currency, status, live_count, live_amount, gold_count, gold_amount) "
            "values (%s, %s, %s, %s, %s, %s, %s)",
            [(check.build_id, *astuple(line)) for line in check.lines],
        )
    connection.execute(_COVERED, [Jsonb(check.ends)])
    connection.execute(
        "delete from live.checks where build_id in "
        "(select build_id from live.checks order by checked_at desc offset %s)",
        [KEEP_CHECKS],
    )
    return check
