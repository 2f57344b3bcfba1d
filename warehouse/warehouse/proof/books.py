"""E1 and E2 from what the loads wrote down: offsets, and control totals by book."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import psycopg

from warehouse.proof.equation import OK, Equation, Side

LOADS_SHOWN = 20

_OFFSETS = """
select o.topic_id, o.partition, min(o.start_offset), max(o.end_offset), coalesce(sum(t.count), 0)::bigint,
    (select coalesce(sum(l.offsets), 0)::bigint from metadata.lost_offsets l
    where (l.topic_id, l.partition) = (o.topic_id, o.partition))
from metadata.load_offsets o
join metadata.load_audit a on a.load_id = o.load_id and a.status = 'SUCCESS'
left join (
    select load_id, partition,
        sum(case book when 'ALREADY_LOADED' then -count else count end) as count
    from metadata.load_totals where book in ('BRONZE', 'ALREADY_LOADED', 'DEAD_LETTER') group by 1, 2
) t on t.load_id = o.load_id and t.partition = o.partition
group by 1, 2 order by 1, 2
"""

_TOTALS = """
select t.load_id, t.currency, t.book = 'BRONZE' as in_lake, sum(t.count)::bigint, sum(t.amount)
from metadata.load_totals t join metadata.load_audit a on a.load_id = t.load_id and a.status = 'SUCCESS'
where t.book <> 'DEAD_LETTER' group by 1, 2, 3 order by 1, 2
"""


def offsets_by_totals(connection: psycopg.Connection[Any]) -> Iterable[Equation]:
    """Yield E1 per partition: offsets that the loads account for = their events, dead letters and accepted losses."""
    for topic_id, partition, first, behind, counted, lost in connection.execute(_OFFSETS).fetchall():
        scope = {"topic_id": topic_id, "partition": partition, "offsets": [first, behind]}
        yield Equation("E1", scope | ({"LOST": lost} if lost else {}), None, Side(behind - first), Side(counted + lost))


def not_loaded(lake_ends: dict[int, int], loaded: dict[int, int]) -> Iterable[Equation]:
    """Yield E1, OPEN, for what the lake has and no load has taken yet."""
    for partition, behind in sorted(lake_ends.items()):
        begin = loaded.get(partition, 0)
        if behind > begin:
            scope = {"partition": partition, "offsets": [begin, behind], "waits_for": "load"}
            yield Equation("E1", scope, None, Side(behind - begin), Side(), is_open=True)


def loads_by_totals(connection: psycopg.Connection[Any]) -> Iterable[Equation]:
    """Yield E2 per load and currency: bronze = new + duplicates + rejected + already loaded."""
    sides: dict[tuple[int, str | None], dict[bool, Side]] = defaultdict(dict)
    for load_id, currency, in_lake, count, amount in connection.execute(_TOTALS).fetchall():
        sides[load_id, currency][in_lake] = Side(count, amount)
    yield from e2(sides)


def e2(sides: dict[tuple[int, str | None], dict[bool, Side]]) -> Iterable[Equation]:
    """Yield E2 from both sides by load and currency; True is the lake's.

    Each of the newest loads has a line of its own, older ones only when they do not tie out; those that do are summed,
    so that the proof stays readable after a year of loads.
    """
    newest = set(sorted({load_id for load_id, _ in sides})[-LOADS_SHOWN:])
    older: dict[str | None, list[Equation]] = defaultdict(list)
    for (load_id, currency), pair in sorted(sides.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        empty = Side(0, None if currency is None else Decimal(0))
        scope = {"load_id": load_id, **_outside(currency)}
        equation = Equation("E2", scope, currency, pair.get(True, empty), pair.get(False, empty))
        if load_id in newest or equation.verdict != OK:
            yield equation
        else:
            older[currency].append(equation)
    for currency, equations in older.items():
        loads = [equation.scope["load_id"] for equation in equations]
        scope = {"load_ids": [min(loads), max(loads)], "loads": len(loads), **_outside(currency)}
        yield Equation("E2", scope, currency, _sum(e.left for e in equations), _sum(e.right for e in equations))


def _outside(currency: str | None) -> dict[str, str]:
    return {} if currency else {"currencies": "outside the contract"}


def _sum(sides: Iterable[Side]) -> Side:
    listed = list(sides)
    amounts = [side.amount for side in listed if side.amount is not None]
    return Side(sum(side.count for side in listed), sum(amounts, Decimal(0)) if amounts else None)
