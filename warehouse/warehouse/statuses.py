"""What a load adds to silver by status, so that silver's latest statuses are a sum over loads and no scan.

A transaction whose PENDING row a final status has followed counts once as SETTLED, in the load that completed it: its
PENDING row is then no longer its latest.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg


@dataclass(frozen=True)
class Pairs:
    """Transactions of a load that have two statuses.

    Attributes:
        breaks_identity: amount, customer, time ... of one differ between its statuses.
        settled: count and amount by currency, each transaction once.
    """

    breaks_identity: bool
    settled: dict[str, tuple[int, Decimal]]


def find_pairs(connection: psycopg.Connection[Any], load_id: int) -> Pairs:
    """Look up the other status of each new row of a load, by key: the cost follows the load alone."""
    connection.execute("set local enable_hashjoin = off; set local enable_mergejoin = off")
    rows = connection.execute(
        """
        select new.currency, bool_or(other.identity_hash <> new.identity_hash),
            count(*) filter (where new.status <> 'PENDING' or other.load_id <> new.load_id),
            sum(new.amount) filter (where new.status <> 'PENDING' or other.load_id <> new.load_id)
        from raw.transactions new
        join raw.transactions other using (transaction_id)
        where new.load_id = %s and other.status <> new.status
        group by 1
        """,
        [load_id],
    ).fetchall()
    connection.execute("set local enable_hashjoin = on; set local enable_mergejoin = on")
    settled = {currency: (count, amount) for currency, _, count, amount in rows if count}
    return Pairs(any(breaks for _, breaks, _, _ in rows), settled)


def write_statuses(connection: psycopg.Connection[Any], load_id: int, pairs: Pairs) -> None:
    """Write a load's statuses, inside its transaction and behind its rows."""
    connection.execute(
        """
        insert into metadata.load_statuses (load_id, currency, status, count, amount)
        select load_id, currency, status, count(*), sum(amount) from raw.transactions
        where load_id = %s group by 1, 2, 3
        """,
        [load_id],
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into metadata.load_statuses values (%s, %s, 'SETTLED', %s, %s)",
            [(load_id, currency, count, amount) for currency, (count, amount) in pairs.settled.items()],
        )
