"""`tieout alert explain`: an alert computed again from silver, with nothing of what the live view remembers."""

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from contracts.alerts import AlertRules, load_alert_rules
from core.errors import TieoutError
from live.alerts.judge import alert_id, judge
from live.alerts.memory import Memory, Seen
from live.engine import connect, database_away
from live.events import Place
from live.settings import LiveSettings, read_settings

Connection = psycopg.Connection[Any]

# Silver's rows of one customer in the order of the topic. A row behind another of its payment tells how that went;
# a PENDING behind a final status tells nothing.
_HISTORY = """
select t.transaction_id, t.customer_id, t.status, t.status_at, t.occurred_at, t.utc_offset_minutes, t.amount,
    t.currency, t.merchant_name, t.merchant_category, t.city, t.state, t.country, t."offset",
    not exists (
        select from raw.transactions o where o.transaction_id = t.transaction_id and o.status <> t.status
            and (o.load_id, o.known_at, o.partition, o."offset") < (t.load_id, t.known_at, t.partition, t."offset")
    ) as is_first
from raw.transactions t
where t.topic_id = %(topic_id)s and t.partition = %(partition)s and t."offset" between %(since)s and %(offset)s
    and t.customer_id = %(customer_id)s
order by t."offset"
"""


@dataclass(frozen=True)
class Explanation:
    """What is known of an alert.

    Attributes:
        alert: its row.
        verdict: EQUAL, DIFFERENT, or WAITING where silver does not hold the event yet, or OTHER_VERSION.
        again: the evidence as silver gives it; None where it gives none.
        events: how many of the customer's statuses silver was asked for.
    """

    alert: dict[str, Any]
    verdict: str
    again: dict[str, Any] | None
    events: int
    meaning: str


def explain(name: str, settings: LiveSettings | None = None) -> Explanation:
    """Compute an alert again.

    Args:
        name: its id, or the begin of it.
        settings: the platform's, if none are given.

    Raises:
        TieoutError: there is no such alert, or several begin so.
        OutageError: the database is away.
    """
    try:
        with closing(connect(settings or read_settings())) as connection:
            alert = _find(connection, name)
            return recompute(connection, alert, load_alert_rules())
    except psycopg.OperationalError as error:
        raise database_away(error) from error


def recompute(connection: Connection, alert: dict[str, Any], rules: AlertRules) -> Explanation:
    """Return an alert's evidence as silver gives it, beside the kept one."""
    rule = rules.rule(alert["rule_code"])
    partition, since = alert["evidence"]["remembered_since"]
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_HISTORY, alert | {"since": since if partition == alert["partition"] else 0}).fetchall()
    if not rows or rows[-1]["offset"] != alert["offset"]:
        return Explanation(alert, "WAITING", None, len(rows), rule.meaning)
    if rule.version != alert["rule_version"]:
        return Explanation(alert, "OTHER_VERSION", None, len(rows), rule.meaning)
    memory, again = Memory([alert["partition"], rows[0]["offset"]]), None
    for row in rows:
        if not row["is_first"] and row["status"] == "PENDING":
            continue
        place = Place(alert["topic_id"], alert["partition"], row.pop("offset"))
        one = Seen(place=place, **row)
        found = judge(memory, one, rules)
        if place.offset == alert["offset"]:
            again = next((each.evidence for each in found if each.alert_id == alert["alert_id"]), None)
            if alert_id(rule, one) != alert["alert_id"]:
                again = None
    verdict = "EQUAL" if again == alert["evidence"] else "DIFFERENT"
    return Explanation(alert, verdict, again, len(rows), rule.meaning)


def _find(connection: Connection, name: str) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("select * from live.alerts where starts_with(alert_id, %s) limit 2", [name]).fetchall()
    if len(found) != 1:
        many = "no alert has" if not found else "several alerts have"
        raise TieoutError(
            f"{many} an id that begins with {name!r}.", "nothing was changed.", "./scripts/tieout alert list"
        )
    return found[0]
