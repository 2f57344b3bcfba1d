"""`tieout alert list` and how alerts are shown."""

from contextlib import closing
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from core.settings import Settings, load_settings
from core.text import shown
from live.alerts.explain import Explanation
from live.engine import connect, database_away

_LIST = """
select alert_id, rule_code, customer_id, amount::text as amount, currency, merchant_category, occurred_at, arrived_at,
    published_at is not null as is_published
from live.alerts
where (%(rule)s::text is null or rule_code = %(rule)s) and (%(customer)s::text is null or customer_id = %(customer)s)
order by arrived_at desc limit %(limit)s
"""


def list_alerts(
    rule: str | None, customer: str | None, limit: int, settings: Settings | None = None
) -> list[dict[str, Any]]:
    """Return the newest alerts.

    Raises:
        OutageError: the database is away.
    """
    try:
        with (
            closing(connect(settings or load_settings())) as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            return cursor.execute(_LIST, {"rule": rule, "customer": customer, "limit": limit}).fetchall()
    except psycopg.OperationalError as error:
        raise database_away(error) from error


def list_as_text(alerts: list[dict[str, Any]]) -> str:
    """Return a line an alert."""
    if not alerts:
        return "no alerts"
    return "\n".join(
        f"{each['alert_id'][:12]}  {each['arrived_at']:%Y-%m-%d %H:%M:%S}  {shown(each['rule_code']):26} "
        f"{each['amount']:>16} {shown(each['currency'])}  {shown(each['merchant_category']):16} "
        f"{shown(each['customer_id'])}"
        for each in alerts
    )


VERDICTS = {
    "EQUAL": "silver gives the same evidence",
    "DIFFERENT": "silver gives other evidence",
    "WAITING": "silver does not hold the event yet: after the next load",
    "OTHER_VERSION": "the rule has changed since: it cannot be computed as it was",
}


def as_json(found: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON types."""
    alert = {
        name: value if value is None or isinstance(value, (str, int, dict)) else _plain(value)
        for name, value in found.alert.items()
    }
    return {"alert": alert, "meaning": found.meaning, "verdict": found.verdict, "recomputed": found.again}


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def as_text(found: Explanation) -> str:
    """Return an explanation for people."""
    alert, evidence = found.alert, found.alert["evidence"]
    lines = [
        f"{shown(alert['rule_code'])} version {shown(alert['rule_version'])}: {found.meaning}",
        f"  {shown(alert['transaction_id'])}  {alert['amount']:,.2f} {shown(alert['currency'])}  "
        f"{shown(alert['merchant_category'])}, "
        f"{alert['occurred_at'].isoformat()}",
        f"  customer {shown(alert['customer_id'])}; event at {alert['partition']}:{alert['offset']}",
        *(f"  {shown(name)}: {shown(value)}" for name, value in evidence["values"].items()),
        *(f"  threshold {shown(name)}: {shown(value)}" for name, value in evidence["threshold"].items()),
        f"  earlier events: {', '.join(f'{p}:{o}' for p, o in evidence['earlier_events']) or 'none'}",
        f"  {found.verdict}: {VERDICTS[found.verdict]} ({found.events} statuses of the customer read)",
    ]
    if found.verdict == "DIFFERENT":
        lines.append(f"  silver: {shown(found.again)}")
    return "\n".join(lines)
