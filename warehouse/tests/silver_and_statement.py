"""A small silver, and the statement that the other side would write of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, str]
COLUMNS = ("transaction_id", "amount", "currency", "status", "date")
FIRST = datetime(2026, 11, 1, 6, tzinfo=UTC)
NUMBER = 60

INSERT = """
insert into raw.transactions (transaction_id, customer_id, merchant_name, merchant_category, amount, payment_method,
    status, failure_reason, occurred_at, currency, is_fraud, utc_offset_minutes, status_at, known_at, content_hash,
    identity_hash, load_id, topic_id, partition, "offset")
values (%(id)s, 'c', 'm', 'food', %(amount)s, 'UPI', %(status)s, %(reason)s, %(at)s, %(currency)s, false, %(zone)s,
    %(at)s, %(at)s + interval '1 minute', gen_random_uuid(), gen_random_uuid(), %(load)s, 't', 0,
    (select count(*) from raw.transactions))
"""


def books() -> list[dict[str, Any]]:
    """Return silver: payments over six days in two zones, a third PENDING at first, half of those settled since."""
    rows = []
    for n in range(NUMBER):
        at, currency = FIRST + timedelta(hours=n * 2.3), ("USD", "INR", "JPY", "KWD")[n % 4]
        amount = {"JPY": f"{n * 7 + 1}", "KWD": f"{n}.125"}.get(currency, f"{n * 3}.{n % 90 + 10}")
        row = {"id": f"t{n:03}", "amount": amount, "currency": currency, "at": at, "zone": 330 if n % 2 else -480}
        final = {**row, "status": "FAILED" if n % 5 == 0 else "SUCCESS", "reason": "DECLINED" if n % 5 == 0 else None}
        if n % 3 == 0:
            rows.append({**row, "status": "PENDING", "reason": None, "load": 1})
        if n % 6 != 0:
            rows.append({**final, "load": 1 + (n % 3 == 0)})
    return rows


def statement_of(rows: Sequence[dict[str, Any]]) -> list[Row]:
    """Return what the other side would write: each payment once, on the customer's own day."""
    latest = {row["id"]: row for row in rows}
    return [
        {
            "transaction_id": row["id"],
            "amount": row["amount"],
            "currency": row["currency"],
            "status": row["status"],
            "date": str((row["at"] + timedelta(minutes=row["zone"])).date()),
        }
        for row in latest.values()
    ]
