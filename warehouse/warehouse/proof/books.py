"""E1 and E2 from what the loads wrote down: offsets, and control totals by book."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

from contracts.model import Entity
from warehouse.proof.equation import DIFFERENT, OK, Equation, Side
from warehouse.proof.forward import Balance, Forward, add

LOADS_SHOWN = 20

_OFFSETS = """
select o.load_id, o.topic_id, o.partition, o.start_offset, o.end_offset, coalesce(t.count, 0)::bigint,
    (select coalesce(sum(l.offsets), 0)::bigint from metadata.lost_offsets l
    where (l.load_id, l.topic_id, l.partition) = (o.load_id, o.topic_id, o.partition)),
    metadata.count_offsets(coalesce(w.markers, '{}')), metadata.count_offsets(coalesce(w.aborted, '{}'))
from metadata.load_offsets o
join metadata.load_audit a on a.load_id = o.load_id and a.status = 'SUCCESS' and a.entity = %(entity)s
left join (
    select load_id, partition,
        sum(case book when 'ALREADY_LOADED' then -count else count end) as count
    from metadata.load_totals
    where book in ('BRONZE', 'ALREADY_LOADED', 'DEAD_LETTER') and load_id > %(after)s group by 1, 2
) t on t.load_id = o.load_id and t.partition = o.partition
left join metadata.offsets_without_event w
    on (w.load_id, w.topic_id, w.partition) = (o.load_id, o.topic_id, o.partition)
where o.load_id > %(after)s
order by o.load_id, o.partition
"""

_TOTALS = """
select t.load_id, t.currency, t.book = 'BRONZE' as in_lake, sum(t.count)::bigint, sum(t.amount)
from metadata.load_totals t join metadata.load_audit a on a.load_id = t.load_id and a.status = 'SUCCESS'
where t.book <> 'DEAD_LETTER' and t.load_id > %s and a.entity = %s group by 1, 2, 3 order by 1, 2
"""

# The audit row of a load says the same as its totals, book by book.
_AUDIT = """
select a.load_id, said.book, said.count, coalesce(sum(t.count), 0)::bigint
from metadata.load_audit a
cross join lateral (values
    ('BRONZE', rows_read), ('NEW', rows_loaded), ('DUPLICATE', duplicates), ('REJECTED', rejected),
    ('ALREADY_LOADED', already_loaded), ('DEAD_LETTER', dead_letters)
) as said (book, count)
left join metadata.load_totals t on t.load_id = a.load_id and t.book = said.book
where a.load_id > %s and a.entity = %s and a.status = 'SUCCESS'
    and (exists (select from metadata.load_totals o where o.load_id = a.load_id) or rows_read + dead_letters = 0
        or not exists (select from metadata.retention_floor where book = 'LOADS'))
group by 1, 2, 3 having said.count is distinct from coalesce(sum(t.count), 0) order by 1, 2
"""

Sides = dict[tuple[int, str | None], dict[bool, Side]]


@dataclass
class _Partition:
    """A partition as its loads account for it: its offsets, and how many of them each kind has."""

    first: int
    behind: int
    counted: int = 0
    lost: int = 0
    markers: int = 0
    aborted: int = 0

    def scope(self) -> dict[str, Any]:
        """Return the kinds without an event as a line of the proof shows them."""
        return without_event(self.lost, self.markers, self.aborted)

    @property
    def accounted(self) -> int:
        """How many offsets are accounted for."""
        return self.counted + self.lost + self.markers + self.aborted


def without_event(lost: int, markers: int, aborted: int) -> dict[str, int]:
    """Return offsets without an event as a line of the proof shows them, each kind that there is."""
    counts = {"LOST": lost, "MARKER": markers, "ABORTED": aborted}
    return {kind: count for kind, count in counts.items() if count}


def offsets_by_totals(
    connection: psycopg.Connection[Any], entity: Entity, forward: Forward, known: Mapping[tuple[str, int], int]
) -> Iterable[Equation]:
    """Yield E1 per partition: offsets that the loads account for = their events, dead letters and accepted losses.

    Offsets of transactions, markers and aborted records, count once the auditor has read them again.

    A load that does not account for its own offsets, or leaves some out before it, gets a line of its own.

    Args:
        connection: in the proof's snapshot.
        entity: whose loads.
        forward: what is brought forward.
        known: the offset behind the last loaded one by topic and partition, as the watermark says.
    """
    partitions = _brought(forward)
    wrong: list[Equation] = []
    for row in _offsets(connection, entity, forward):
        wrong += _follow(partitions, *row)
    for (topic, partition), behind in known.items():
        place = partitions.setdefault((topic, partition), _Partition(behind, behind))
        place.behind = max(place.behind, behind)
    for (topic, partition), place in sorted(partitions.items()):
        scope = {"topic_id": topic, "partition": partition, "offsets": [place.first, place.behind]}
        yield Equation("E1", scope | place.scope(), None, Side(place.behind - place.first), Side(place.accounted))
    yield from wrong


def _brought(forward: Forward) -> dict[tuple[str, int], _Partition]:
    gaps = forward.balance("E1_transactions")
    found = {}
    for (topic, partition), (left, right) in forward.balance("E1").items():
        markers, aborted = (side.count for side in gaps.get((topic, partition), (Side(), Side())))
        ends = left.count, int(left.amount or 0)
        counts = right.count, int(right.amount or 0), markers, aborted
        found[str(topic), int(partition or 0)] = _Partition(*ends, *counts)
    return found


def _follow(partitions: dict[tuple[str, int], _Partition], load_id: int, *row: Any) -> Iterable[Equation]:
    topic, partition, start, end, counted, lost, markers, aborted = row
    place = partitions.setdefault((topic, partition), _Partition(start, start))
    scope = {"topic_id": topic, "partition": partition, "load_id": load_id}
    if start > place.behind:
        yield Equation("E1", scope | {"offsets": [place.behind, start]}, None, Side(start - place.behind), Side())
    # A load that read again what another had counts only what is beyond it.
    begin = min(max(start, place.behind), end)
    load = _Partition(begin, end, counted, lost, markers, aborted)
    if end - begin != load.accounted:
        shown = scope | {"offsets": [begin, end]} | load.scope()
        yield Equation("E1", shown, None, Side(end - begin), Side(load.accounted))
    place.behind = max(place.behind, end)
    place.counted += counted
    place.lost += lost
    place.markers += markers
    place.aborted += aborted


def _offsets(connection: psycopg.Connection[Any], entity: Entity, forward: Forward) -> list[tuple[Any, ...]]:
    return connection.execute(_OFFSETS, {"after": forward.load_id, "entity": entity.name}).fetchall()


def bring_offsets_forward(
    connection: psycopg.Connection[Any], entity: Entity, forward: Forward, upto_load: int
) -> dict[str, Balance]:
    """Return E1's balances up to a load.

    E1: first offset and the one behind on the left, counted and lost on the right. E1_transactions: markers on the
    left, aborted records on the right.
    """
    partitions = _brought(forward)
    for row in _offsets(connection, entity, forward):
        if row[0] <= upto_load:
            list(_follow(partitions, *row))
    return {
        "E1": {
            key: (Side(place.first, Decimal(place.behind)), Side(place.counted, Decimal(place.lost)))
            for key, place in partitions.items()
        },
        "E1_transactions": {
            key: (Side(place.markers), Side(place.aborted))
            for key, place in partitions.items()
            if place.markers or place.aborted
        },
    }


def not_loaded(lake_ends: dict[int, int], loaded: dict[int, int]) -> Iterable[Equation]:
    """Yield E1, OPEN, for what the lake has and no load has taken yet."""
    for partition, behind in sorted(lake_ends.items()):
        begin = loaded.get(partition, 0)
        if behind > begin:
            scope = {"partition": partition, "offsets": [begin, behind], "waits_for": "load"}
            yield Equation("E1", scope, None, Side(behind - begin), Side(), is_open=True)


def loads_by_totals(connection: psycopg.Connection[Any], entity: Entity, forward: Forward) -> Iterable[Equation]:
    """Yield E2 per load and currency: bronze = new + duplicates + rejected + already loaded, and the audit row so."""
    sides = read_loads(connection, entity, forward.load_id)
    yield from e2(sides, forward.balance("E2"), sum(left.count for left, _ in forward.balance("loads").values()))
    for load_id, book, said, counted in connection.execute(_AUDIT, [forward.load_id, entity.name]).fetchall():
        yield Equation("E2", {"load_id": load_id, "audit_row_says": book}, None, Side(said or 0), Side(counted))


def read_loads(connection: psycopg.Connection[Any], entity: Entity, after_load: int) -> Sides:
    """Return both sides of E2 by load and currency, as the loads wrote them down."""
    sides: Sides = defaultdict(dict)
    for load_id, currency, in_lake, count, amount in connection.execute(_TOTALS, [after_load, entity.name]).fetchall():
        sides[load_id, currency][in_lake] = Side(count, amount)
    return sides


def e2(sides: Sides, brought: Balance | None = None, loads_brought: int = 0) -> Iterable[Equation]:
    """Yield E2 from both sides by load and currency; True is the lake's.

    Each of the newest loads has a line of its own, older ones only when they do not tie out; those that do are summed
    with what is brought forward.
    """
    newest = newest_loads(sides)
    folded: Balance = dict(brought or {})
    older: dict[str | None, set[int]] = defaultdict(set)
    for (load_id, currency), pair in sorted(sides.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        empty = Side(0, None if currency is None else Decimal(0))
        scope = {"load_id": load_id, **_outside(currency)}
        equation = Equation("E2", scope, currency, pair.get(True, empty), pair.get(False, empty))
        if load_id in newest or equation.verdict != OK:
            yield equation
        else:
            older[currency].add(load_id)
            add(folded, (currency,), equation.left, equation.right)
    for (key,), (left, right) in sorted(folded.items(), key=str):
        currency = None if key is None else str(key)
        loads = loads_brought + len({each for ids in older.values() for each in ids})
        yield Equation("E2", {"older_loads": loads, **_outside(currency)}, currency, left, right)


def newest_loads(sides: Sides) -> set[int]:
    """Return the loads that have a line of their own."""
    return set(sorted({load_id for load_id, _ in sides})[-LOADS_SHOWN:])


def bring_loads_forward(sides: Sides, forward: Forward, upto_load: int) -> dict[str, Balance]:
    """Return E2's balance up to a load, and how many loads it holds."""
    sums, loads = forward.balance("E2"), forward.balance("loads")
    within = {load_id for load_id, _ in sides if load_id <= upto_load}
    add(loads, ("loads",), Side(len(within)))
    for (load_id, currency), pair in sides.items():
        if load_id in within:
            add(sums, (currency,), pair.get(True), pair.get(False))
    return {"E2": sums, "loads": loads}


def _outside(currency: str | None) -> dict[str, str]:
    return {} if currency else {"currencies": "outside the contract"}


def all_equal(equations: Iterable[Equation]) -> bool:
    """Say whether nothing is different."""
    return all(equation.verdict != DIFFERENT for equation in equations)
