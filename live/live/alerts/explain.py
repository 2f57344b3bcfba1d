"""`tieout alert explain`: an alert computed again from silver, with nothing of what the live view remembers."""

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from contracts.alerts import AlertRules, load_alert_rules
from core.errors import TieoutError
from core.settings import Settings, load_settings
from live.alerts.judge import judge
from live.alerts.memory import Memory, Seen
from live.engine import connect, database_away
from live.events import Place

Connection = psycopg.Connection[Any]

# Silver's rows of one customer in the order in which they were judged. A row behind another of its payment tells how
# that went; a PENDING behind a final status tells nothing.
_ROWS = """
select t.transaction_id, t.customer_id, t.status, t.status_at, t.occurred_at, t.utc_offset_minutes, t.amount,
    t.currency, t.merchant_name, t.merchant_category, t.city, t.state, t.country, t.partition, t."offset",
    not exists (
        select from raw.transactions o where o.transaction_id = t.transaction_id and o.status <> t.status
            and (o.load_id, o.known_at, o.partition, o."offset") < (t.load_id, t.known_at, t.partition, t."offset")
    ) as is_first
from raw.transactions t
where t.topic_id = %(topic_id)s and t.customer_id = %(customer_id)s
"""
# A customer's events are in one partition, where the topic's order is theirs and the key finds them.
_IN_ONE_PARTITION = f"""{_ROWS} and t.partition = %(partition)s and t."offset" between %(since)s and %(offset)s
order by t."offset"
"""
# They are in several once partitions were added to the topic, or where a sender has other keys: the order is the
# arrivals' then, and all of silver is read.
_IN_ALL_PARTITIONS = f"""{_ROWS}
    and (t.known_at, t.partition, t."offset") <= (%(arrived_at)s, %(partition)s, %(offset)s)
    and (t.known_at, t.partition, t."offset") >= (
        select f.known_at, f.partition, f."offset" from raw.transactions f
        where f.topic_id = %(topic_id)s and f.partition = %(first_partition)s and f."offset" = %(first_offset)s
    )
order by t.known_at, t.partition, t."offset"
"""  # noqa: S608  (a text of this module)


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


def explain(name: str, settings: Settings | None = None) -> Explanation:
    """Compute an alert again.

    Args:
        name: its id, or the begin of it.
        settings: the platform's, if none are given.

    Raises:
        TieoutError: there is no such alert, or several begin so.
        OutageError: the database is away.
    """
    try:
        with closing(connect(settings or load_settings())) as connection:
            alert = _find(connection, name)
            return recompute(connection, alert, load_alert_rules())
    except psycopg.OperationalError as error:
        raise database_away(error) from error


def recompute(connection: Connection, alert: dict[str, Any], rules: AlertRules) -> Explanation:
    """Return an alert's evidence as silver gives it, beside the kept one."""
    rule = rules.rule(alert["rule_code"])
    partition, since = alert["evidence"]["remembered_since"]
    asked = alert | {"since": since if partition == alert["partition"] else 0}
    asked |= {"first_partition": partition, "first_offset": since}
    rows = _history(connection, _IN_ONE_PARTITION, asked)
    if not rows:
        return Explanation(alert, "WAITING", None, 0, rule.meaning)
    if rule.version != alert["rule_version"]:
        return Explanation(alert, "OTHER_VERSION", None, len(rows), rule.meaning)
    again = _judged_again(rows, alert, rules)
    if again != alert["evidence"] and (more := _history(connection, _IN_ALL_PARTITIONS, asked)):
        rows, again = more, _judged_again(more, alert, rules)
    return Explanation(alert, "EQUAL" if again == alert["evidence"] else "DIFFERENT", again, len(rows), rule.meaning)


def _history(connection: Connection, query: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the customer's rows up to the alert's event; none where silver does not hold that event yet."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query.encode(), asked).fetchall()
    ends_there = rows and (rows[-1]["partition"], rows[-1]["offset"]) == (asked["partition"], asked["offset"])
    return rows if ends_there else []


def _judged_again(rows: list[dict[str, Any]], alert: dict[str, Any], rules: AlertRules) -> dict[str, Any] | None:
    """Return the evidence that the rules give for the last of the rows, with nothing remembered before the first."""
    memory, found = Memory([rows[0]["partition"], rows[0]["offset"]]), []
    for row in rows:
        if not row["is_first"] and row["status"] == "PENDING":
            continue
        fields = {name: value for name, value in row.items() if name not in ("partition", "offset")}
        found = judge(memory, Seen(place=Place(alert["topic_id"], row["partition"], row["offset"]), **fields), rules)
    return next((each.evidence for each in found if each.alert_id == alert["alert_id"]), None)


def _find(connection: Connection, name: str) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("select * from live.alerts where starts_with(alert_id, %s) limit 2", [name]).fetchall()
    if len(found) != 1:
        many = "no alert has" if not found else "several alerts have"
        raise TieoutError(
            f"{many} an id that begins with {name!r}.", "nothing was changed.", "./scripts/tieout alert list"
        )
    return found[0]
