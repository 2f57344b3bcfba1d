"""A batch's events before the rules: memories in, alerts and memories out, in the batch's transaction."""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from contracts.alerts import AlertRules
from live.alerts.judge import Alert, judge
from live.alerts.memory import Memory, Seen
from live.batch import Batch
from live.events import Event
from live.payment_state import Effect

Connection = psycopg.Connection[Any]

_REMEMBER = """
insert into live.customers (customer_id, state, seen_at)
select customer_id, state::jsonb, seen_at from unnest(%b::text[], %b::text[], %b::timestamptz[])
    as n (customer_id, state, seen_at)
on conflict (customer_id) do update set state = excluded.state, seen_at = excluded.seen_at
"""
# An event that is judged again, after the totals were opened anew, raises what it raised before.
_RAISE = """
insert into live.alerts (alert_id, rule_code, rule_version, customer_id, transaction_id, status, amount, currency,
    merchant_name, merchant_category, payment_channel, city, state, country, occurred_at, arrived_at, topic_id,
    partition, "offset", evidence)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (alert_id) do nothing
"""


def seen(event: Event, *, is_first: bool) -> Seen:
    """Return what the rules look at in an event."""
    if event.occurred_at is None or event.status_at is None:
        raise ValueError("only sound events are judged")
    return Seen(
        event.place,
        event.text("transaction_id"),
        event.text("customer_id"),
        is_first,
        event.text("status"),
        event.status_at,
        event.occurred_at,
        event.utc_offset_minutes,
        event.amount,
        event.text("currency"),
        event.text("merchant_name"),
        event.text("merchant_category"),
        event.maybe("city"),
        event.maybe("state"),
        event.maybe("country"),
    )


class Watch:
    """Judges batches by the rules."""

    def __init__(self, rules: AlertRules) -> None:
        self._rules = rules

    def judge(self, connection: Connection, batch: Batch, channels: Mapping[str, str]) -> list[Alert]:
        """Judge what silver will take, in its order; write memories and alerts, and return the alerts."""
        judged = [(effect, event) for effect, event in batch.taken if effect is not Effect.LATE]
        memories = _recall(connection, {event.text("customer_id") for _, event in judged})
        alerts: list[Alert] = []
        rows: list[tuple[Any, ...]] = []
        touched: dict[str, Event] = {}
        for effect, event in judged:
            place, name = event.place, event.text("customer_id")
            memory = memories.setdefault(name, Memory([place.partition, place.offset]))
            if not memory.is_behind(place):
                continue
            found = judge(memory, seen(event, is_first=effect is Effect.NEW), self._rules)
            touched[name] = event
            alerts += found
            rows += [_row(alert, event, channels[event.text("payment_method")]) for alert in found]
        names = list(touched)
        states, times = [memories[name].to_json() for name in names], [touched[name].arrived_at for name in names]
        connection.execute(_REMEMBER, [names, states, times])
        with connection.cursor() as cursor:
            cursor.executemany(_RAISE, rows)
        return alerts


def _recall(connection: Connection, customers: set[str]) -> dict[str, Memory]:
    found = connection.execute(
        "select customer_id, state::text from live.customers where customer_id = any(%s)", [list(customers)]
    )
    return {name: Memory.from_json(state) for name, state in found}


def _row(alert: Alert, event: Event, channel: str) -> tuple[Any, ...]:
    one = alert.seen
    return (
        alert.alert_id, alert.rule.code, alert.rule.version, one.customer_id, one.transaction_id, one.status,
        one.amount, one.currency, one.merchant_name, one.merchant_category, channel, one.city, one.state, one.country,
        one.occurred_at, event.arrived_at, one.place.topic_id, one.place.partition, one.place.offset,
        Jsonb(alert.evidence),
    )  # fmt: skip


def write_rules(connection: Connection, rules: AlertRules) -> None:
    """Write down which rules the engine runs with, for whoever reads the alerts."""
    with connection.transaction():
        connection.execute("delete from live.alert_rules")
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into live.alert_rules (rule_code, version, meaning, thresholds) values (%s, %s, %s, %s)",
                [(rule.code, rule.version, rule.meaning, Jsonb(dict(rule.settings))) for rule in rules.rules],
            )
