"""A history of payments in silver, made by the database itself, and one day's change on top of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

PAYMENTS_A_DAY, SETTLED_LATE, SETTLED_OLD = 10_000, 3_000, 50
ROWS_A_DAY = PAYMENTS_A_DAY + SETTLED_LATE
FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)

# Three in ten are PENDING first and settled within three days; a few never were, until a day's change brings them.
INSERT = """
with numbered as (
    select i, (hashint8extended(i, 1) & 2147483647)::bigint as a, (hashint8extended(i, 2) & 2147483647)::bigint as b
    from generate_series(%(first)s::bigint, %(last)s::bigint) i
),
payments as (
    select i, b %% 400 = 0 as waits, a %% 10 < 3 or b %% 400 = 0 as pends,
        (array['INR', 'USD', 'EUR'])[a %% 20 / 18 + a %% 2 + 1] as currency,
        'customer-' || b %% 50000 as customer_id, 'merchant ' || a %% 500 as merchant_name,
        (array['food', 'travel', 'fuel', 'health', 'home', 'kids', 'misc', 'shopping'])[a %% 8 + 1] as category,
        (1 + b %% 500000)::numeric / 100 as amount,
        (array['Credit Card', 'Debit Card', 'UPI', 'Net Banking', 'Wallet'])[(a / 7) %% 5 + 1] as method,
        %(begin)s::timestamptz + make_interval(days => (i / 10000)::int, secs => (i %% 10000) * 8.6) as occurred_at,
        b %% 100 < 12 as fails, make_interval(hours => 1 + (a / 11 %% 60)::int) as later
    from numbered
),
statuses as (
    select p.*, 0 as step, 'PENDING' as status, occurred_at as status_at from payments p where pends
    union all
    select p.*, 1, case when fails then 'FAILED' else 'SUCCESS' end,
        occurred_at + case when pends then later else interval '0' end
    from payments p where not pends or (not waits and occurred_at + later < %(upto)s)
)
insert into raw.transactions (
    transaction_id, customer_id, merchant_name, merchant_category, amount, payment_method, status, failure_reason,
    occurred_at, city, state, country, currency, is_fraud, utc_offset_minutes, status_at, known_at, content_hash,
    identity_hash, load_id, topic_id, partition, "offset"
)
select case when waits then 'w' else 't' end || md5(i::text), customer_id, merchant_name, category, amount, method,
    status, case when status = 'FAILED' then 'DECLINED' end, occurred_at, 'Pune', 'Maharashtra', 'IN', currency, false,
    330, status_at, status_at, '5e7c0f0e-9f3c-6d1a-2b53-6d1f5d0f3c11', '5e7c0f0e-9f3c-6d1a-2b53-6d1f5d0f3c11',
    %(load)s, 'bench', 0, i * 2 + step
from statuses
"""
SETTLE = """
insert into raw.transactions (
    transaction_id, customer_id, merchant_name, merchant_category, amount, payment_method, status, occurred_at, city,
    state, country, currency, is_fraud, utc_offset_minutes, status_at, known_at, content_hash, identity_hash, load_id,
    topic_id, partition, "offset"
)
select transaction_id, customer_id, merchant_name, merchant_category, amount, payment_method, 'SUCCESS', occurred_at,
    city, state, country, currency, is_fraud, utc_offset_minutes, %(at)s, %(at)s, content_hash, identity_hash, %(load)s,
    topic_id, partition, "offset" + 1
from raw.transactions t
where {which} and status = 'PENDING' and load_id < %(load)s
    and not exists (select from raw.transactions f where f.transaction_id = t.transaction_id and f.status <> 'PENDING')
order by occurred_at limit %(count)s
"""
LATE = "occurred_at >= %(at)s - interval '3 days' and transaction_id < 'w'"
OLD = "transaction_id >= 'w' and occurred_at < %(at)s - interval '4 days'"


class History:
    """Silver with a history.

    Args:
        db: a connection as the superuser.
    """

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self._db = db
        self.days = 0

    @property
    def now(self) -> datetime:
        """The end of the last day."""
        return FIRST_DAY + timedelta(days=self.days)

    def days_ago(self, days: int) -> datetime:
        """Return the moment so many days before the end of the last day."""
        return self.now - timedelta(days=days)

    def grow(self, rows: int) -> None:
        """Go on until there are so many rows, in one load."""
        days = max(1, -(-rows // ROWS_A_DAY) - self.days)
        load = self._begin()
        first = self.days * PAYMENTS_A_DAY
        self.days += days
        self._insert(load, first, self.now)
        self._end(load)
        self._db.execute("vacuum analyze raw.transactions")

    def add_day(self) -> int:
        """Add one day's change as one load; return its rows."""
        load = self._begin()
        first = self.days * PAYMENTS_A_DAY
        self.days += 1
        # What pends of this day is settled by the next days.
        self._insert(load, first, FIRST_DAY)
        for which, count in ((LATE, SETTLED_LATE - SETTLED_OLD), (OLD, SETTLED_OLD)):
            self._db.execute(SETTLE.replace("{which}", which), {"at": self.now, "load": load, "count": count})
        return self._end(load)

    def _insert(self, load: int, first: int, upto: datetime) -> None:
        last = self.days * PAYMENTS_A_DAY - 1
        self._db.execute(INSERT, {"first": first, "last": last, "begin": FIRST_DAY, "upto": upto, "load": load})

    def _begin(self) -> int:
        row = self._db.execute(
            "insert into metadata.load_audit (status) values ('RUNNING') returning load_id"
        ).fetchone()
        assert row is not None  # noqa: S101  # it was returned
        return int(row[0])

    def _end(self, load: int) -> int:
        done = self._db.execute(
            "with loaded as (select count(*) as n from raw.transactions where load_id = %(load)s)"
            " update metadata.load_audit set status = 'SUCCESS', finished_at = clock_timestamp(), seconds = 1,"
            " rows_expected = n, rows_read = n, rows_loaded = n, duplicates = 0, rejected = 0, already_loaded = 0,"
            " dead_letters_expected = 0, dead_letters_read = 0, dead_letters = 0 from loaded"
            " where load_id = %(load)s returning rows_loaded",
            {"load": load},
        ).fetchone()
        assert done is not None  # noqa: S101
        return int(done[0])
