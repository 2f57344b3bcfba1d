"""How the payments of a batch stand: from live.payments, and for those it does not hold, from silver."""

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from live.events import Event, Place
from live.payment_state import PENDING, PaymentState

Connection = psycopg.Connection[Any]

_KEPT = """
select transaction_id, status, has_pending, identity_hash, topic_id, partition, "offset", arrived_at
from live.payments where transaction_id = any(%b)
"""
_SILVER = """
select transaction_id, status, identity_hash, topic_id, partition, "offset", known_at
from raw.transactions where transaction_id = any(%b) order by load_id, known_at, partition, "offset"
"""
_AGAIN = """
select redrive_of from live.redriven where topic_id = %(topic)s and redrive_of = any(%(asked)s)
union
select redrive_of from (
    select partition, "offset", redrive_of from raw.transactions where topic_id = %(topic)s
        and redrive_of = any(%(asked)s)
    union all
    select partition, "offset", redrive_of from raw.rejected_transactions where topic_id = %(topic)s
        and redrive_of = any(%(asked)s)
) b where "offset" < coalesce((%(positions)s::jsonb ->> partition::text)::bigint, 0)
"""


def standings(
    connection: Connection, transaction_ids: Iterable[str], topic_id: str, positions: Mapping[int, int]
) -> dict[str, PaymentState]:
    """Return how payments stand at the positions; who is not in it is new.

    Silver may be ahead of the positions: what it holds beyond them is not counted yet and does not count here.
    """
    asked = list(set(transaction_ids))
    found = {
        row[0]: PaymentState(row[1], row[2], row[3], True, Place(row[4], row[5], row[6]), row[7])
        for row in connection.execute(_KEPT, [asked])
    }
    missing = [each for each in asked if each not in found]
    for name, status, identity, topic, partition, offset, known_at in connection.execute(_SILVER, [missing]):
        if topic == topic_id and offset >= positions.get(partition, 0):
            continue
        known = found.get(name)
        if known is None:
            place = Place(topic, partition, offset)
            found[name] = PaymentState(status, status == PENDING, identity, False, place, known_at)
        elif status == PENDING:
            known.has_pending = True
        else:
            known.status = status
    return found


def redriven_before(
    connection: Connection, events: Iterable[Event], topic_id: str, positions: Mapping[int, int]
) -> set[str]:
    """Return which of the events' redrives have arrived before: a second copy of a letter counts nothing."""
    asked = [event.redrive_of for event in events if event.redrive_of is not None]
    if not asked:
        return set()
    values = {"topic": topic_id, "asked": asked, "positions": Jsonb(dict(positions))}
    return {row[0] for row in connection.execute(_AGAIN, values)}
