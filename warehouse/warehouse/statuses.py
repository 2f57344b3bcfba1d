"""What a load adds to silver by status, so that silver's latest statuses are a sum over loads and no scan.

A key whose first status a final one has followed counts once as SETTLED, in the load that completed it: the row of its
first status is then no longer its latest.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

from contracts.model import Entity

# What a row of silver takes, roughly.
ROW_BYTES = 400

_PAIRS = """
select new.currency, bool_or(other.identity_hash <> new.identity_hash),
    count(*) filter (where new.status <> '{first}' or other.load_id <> new.load_id),
    sum(new.amount) filter (where new.status <> '{first}' or other.load_id <> new.load_id)
from ({new} offset 0) new
{other}
group by 1
"""
_NEW = "select {columns} from {silver} where load_id = %s"
# By the event's key and not by the load's, which the planner takes for that of a single row.
_NEW_STAGED = """
select new.* from (select distinct {key} from stage) staged
cross join lateral (
    select {columns} from {silver} where {key} = staged.{key} and load_id + 0 = %s offset 0
) new
"""
_COLUMNS = "{key}, status, currency, amount, identity_hash, load_id"
_BY_HASH = """
join {silver} other
    on other.{key} = new.{key} and (other.status <> '{first}') = (new.status = '{first}')
"""
_BY_KEY = """
cross join lateral (
    select identity_hash, load_id from {silver} other
    where other.{key} = new.{key} and (other.status <> '{first}') = (new.status = '{first}') offset 0
) other
"""


@dataclass(frozen=True)
class Pairs:
    """Keys of a load that have two statuses.

    Attributes:
        breaks_identity: amount, customer, time ... of one differ between its statuses.
        settled: count and amount by currency, each key once.
    """

    breaks_identity: bool
    settled: dict[str, tuple[int, Decimal]]

    def __add__(self, other: "Pairs") -> "Pairs":
        """Return both; no key is in both."""
        settled = dict(self.settled)
        for currency, (count, amount) in other.settled.items():
            before = settled.get(currency, (0, Decimal(0)))
            settled[currency] = (before[0] + count, before[1] + amount)
        return Pairs(self.breaks_identity or other.breaks_identity, settled)


def find_pairs(
    connection: psycopg.Connection[Any], entity: Entity, load_id: int, rows: int, *, staged: bool = False
) -> Pairs:
    """Look up the other status of each new row of a load.

    The statement leaves the planner no choice, since what it knows of the table is older than the load: a plain join
    was seen to run for minutes. By key the cost follows the load alone; where the load is a good part of silver, one
    pass over all of it is cheaper.

    Args:
        connection: inside the load's transaction.
        entity: whose events they are.
        load_id: the load.
        rows: how many rows are looked at.
        staged: look at those alone whose keys are in the temporary table stage.
    """
    size = connection.execute("select pg_relation_size(%s)", [entity.silver]).fetchone()
    is_large = rows * ROW_BYTES * 4 > (size or (0,))[0]
    # Rolled back, so that the settings end here: a released savepoint would leave them to the rest of the load.
    with connection.transaction(force_rollback=True):
        connection.execute("set local work_mem = '128MB'")
        connection.execute("set local enable_mergejoin = off")
        connection.execute("set local enable_nestloop = off" if is_large else "set local enable_hashjoin = off")
        names = {"key": entity.key, "silver": entity.silver, "first": entity.statuses.first}
        new = (_NEW_STAGED if staged else _NEW).format(columns=_COLUMNS.format(**names), **names)
        other = (_BY_HASH if is_large else _BY_KEY).format(**names)
        asked = _PAIRS.format(new=new, other=other, **names)
        found = connection.execute(asked.encode(), [load_id]).fetchall()
    settled = {currency: (count, amount) for currency, _, count, amount in found if count}
    return Pairs(any(breaks for _, breaks, _, _ in found), settled)


def write_statuses(connection: psycopg.Connection[Any], load_id: int, pairs: Pairs) -> None:
    """Write a load's statuses, inside its transaction, behind its rows and their new_sums."""
    connection.execute(
        """
        insert into metadata.load_statuses (load_id, currency, status, count, amount)
        select %s, currency, status, sum(count), sum(amount) from new_sums group by 2, 3
        """,
        [load_id],
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into metadata.load_statuses values (%s, %s, 'SETTLED', %s, %s)",
            [(load_id, currency, count, amount) for currency, (count, amount) in pairs.settled.items()],
        )
