"""What has not settled within its window. Age is told by the data's newest status, never by today's clock."""

from typing import Any

from core.settings import Settings, load_settings
from core.spans import parse_span
from warehouse.snapshot import one_snapshot

_OPEN = """
from raw.transactions as p
where p.status = 'PENDING' and p.status_at < %(before)s and not exists (
    select from raw.transactions as f
    where f.transaction_id = p.transaction_id and f.status <> 'PENDING'
)
"""
_TOTALS = f"select p.currency, count(*), sum(p.amount), min(p.status_at) {_OPEN} group by 1 order by 1"
_LIST = f"""
select p.transaction_id, p.status_at, p.occurred_at, p.amount, p.currency, p.merchant_category, p.payment_method,
    p.load_id
{_OPEN}
order by p.status_at, p.transaction_id limit %(limit)s
"""


def list_pending(older_than: str, limit: int, *, settings: Settings | None = None) -> dict[str, Any]:
    """Return the PENDING payments of silver that have no final status and are older than an age.

    Args:
        older_than: such as 3d, counted back from the newest status of the data.
        limit: how many to list; the totals are of all.
        settings: the warehouse's; read from the home when not given.

    Returns:
        what `tieout pending --json` prints.

    Raises:
        TieoutError: the database is away.
    """
    settings = settings or load_settings()
    age = parse_span(older_than)
    with one_snapshot(settings.dsn("dbt"), "nothing was changed.") as db:
        row = db.execute("select max(status_at) from raw.transactions").fetchone()
        newest = row[0] if row else None
        found = {"before": newest - age if newest else None, "limit": limit}
        totals = db.execute(_TOTALS, found).fetchall()
        rows = db.execute(_LIST, found).fetchall()
    return {
        "as_of": newest.isoformat() if newest else None,
        "older_than": older_than,
        "count": sum(total[1] for total in totals),
        "totals": [
            {"currency": currency, "count": count, "amount": str(amount), "oldest": oldest.isoformat()}
            for currency, count, amount, oldest in totals
        ],
        "transactions": [
            {
                "transaction_id": name,
                "pending_since": since.isoformat(),
                "age_seconds": int((newest - since).total_seconds()),
                "occurred_at": occurred.isoformat(),
                "amount": str(amount),
                "currency": currency,
                "merchant_category": category,
                "payment_method": method,
                "load_id": load,
            }
            for name, since, occurred, amount, currency, category, method, load in rows
        ],
    }
