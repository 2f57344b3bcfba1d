"""The rules: pure functions of an event and what is remembered of its customer.

Each returns what it found, None where it has nothing to say. Amounts are exact; times are the payment's own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from statistics import median_low
from typing import Any

from contracts.alerts import AlertRule, AlertRules
from live.alerts.memory import UNITS, Mark, Memory, Seen, milliseconds
from live.alerts.places import kilometres_apart

SECOND_MS = 1000
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Finding:
    """What a rule found.

    Attributes:
        values: what it measured; threshold: what it measured against; amounts are texts in major units.
        marks: partition and offset of the earlier events that it rests on.
    """

    values: dict[str, Any]
    threshold: dict[str, Any]
    marks: list[list[int]]


@dataclass(frozen=True)
class Alert:
    """A rule that has something to say of an event, with all that it rests on."""

    alert_id: str
    rule: AlertRule
    seen: Seen
    evidence: dict[str, Any]


def judge(memory: Memory, seen: Seen, rules: AlertRules) -> list[Alert]:
    """Return the alerts of an event, and remember it."""
    alerts = []
    for rule in rules.rules:
        found = CHECKS[rule.code](rule, memory, seen)
        if found is not None:
            alerts.append(_alert(rule, memory, seen, found))
            if rule.code == "VELOCITY":
                memory.velocity_ms = seen.occurred_ms
    memory.add(seen, rules)
    return alerts


def alert_id(rule: AlertRule, seen: Seen) -> str:
    """Return the same id for the same rule, version and event, however often it is replayed."""
    place = seen.place
    return sha256(f"{rule.code}|{rule.version}|{place.topic_id}|{place.partition}|{place.offset}".encode()).hexdigest()[
        :32
    ]


def _alert(rule: AlertRule, memory: Memory, seen: Seen, found: Finding) -> Alert:
    evidence = {
        "rule": rule.code,
        "version": rule.version,
        "values": found.values,
        "threshold": found.threshold,
        "event": [seen.place.partition, seen.place.offset],
        "earlier_events": found.marks,
        "remembered_since": memory.since,
    }
    return Alert(alert_id(rule, seen), rule, seen, evidence)


def _text(units: int) -> str:
    return f"{Decimal(units) / UNITS:.4f}"


def _places(marks: list[Mark]) -> list[list[int]]:
    return [[mark[-2], mark[-1]] for mark in marks]


def _amount_over_limit(rule: AlertRule, _: Memory, seen: Seen) -> Finding | None:
    limit = rule.limit(seen.currency, seen.merchant_category)
    if not seen.is_first or limit is None or seen.amount <= limit:
        return None
    return Finding({"amount": _text(seen.units)}, {"limit": str(limit), "category": seen.merchant_category}, [])


def _amount_far_above_history(rule: AlertRule, memory: Memory, seen: Seen) -> Finding | None:
    least, times = rule.money("at_least", seen.currency), rule.number("times")
    history = memory.amounts.get(seen.currency, [])
    if not seen.is_first or least is None or seen.amount < least or len(history) < rule.number("after_payments"):
        return None
    usual = median_low(int(mark[0]) for mark in history)
    if seen.units <= times * usual:
        return None
    values = {"amount": _text(seen.units), "median": _text(usual), "payments": len(history)}
    return Finding(values, {"times": times, "at_least": str(least)}, _places(history))


def _velocity(rule: AlertRule, memory: Memory, seen: Seen) -> Finding | None:
    if not seen.is_first:
        return None
    now, window = seen.occurred_ms, rule.number("within_seconds") * SECOND_MS
    if memory.velocity_ms is not None and 0 <= now - memory.velocity_ms < window:
        return None
    within = [mark for mark in memory.moments if now - window < mark[0] <= now]
    if len(within) + 1 <= rule.number("more_than"):
        return None
    threshold = {"more_than": rule.number("more_than"), "within_seconds": rule.number("within_seconds")}
    return Finding({"payments": len(within) + 1}, threshold, _places(within))


def _declines_then_success(rule: AlertRule, memory: Memory, seen: Seen) -> Finding | None:
    if seen.status != "SUCCESS":
        return None
    now, window = milliseconds(seen.status_at), rule.number("within_seconds") * SECOND_MS
    within = [mark for mark in memory.declines if now - window < mark[0] <= now]
    if len(within) < rule.number("declines"):
        return None
    threshold = {"declines": rule.number("declines"), "within_seconds": rule.number("within_seconds")}
    return Finding({"declines": len(within)}, threshold, _places(within))


def _impossible_travel(rule: AlertRule, memory: Memory, seen: Seen) -> Finding | None:
    if not seen.is_first or memory.place is None:
        return None
    country, state, city, before, *mark = memory.place
    apart = kilometres_apart((country, state, city), (seen.country, seen.state, seen.city))
    if apart is None or apart <= rule.number("farther_than_km"):
        return None
    between, limit = abs(seen.occurred_ms - before), rule.number("faster_than_kmh")
    if apart * HOUR_MS <= limit * between:
        return None
    values = {
        "km": apart,
        "seconds": between // SECOND_MS,
        "from": [country, state, city],
        "to": [seen.country, seen.state, seen.city],
    }
    threshold = {"faster_than_kmh": limit, "farther_than_km": rule.number("farther_than_km")}
    return Finding(values, threshold, [mark])


def _night_time(rule: AlertRule, _: Memory, seen: Seen) -> Finding | None:
    least = rule.money("at_least", seen.currency)
    if not seen.is_first or least is None or seen.amount < least:
        return None
    hour = (seen.occurred_at + timedelta(minutes=seen.utc_offset_minutes)).hour
    begin, end = rule.number("from_hour"), rule.number("to_hour")
    if not (hour >= begin or hour < end if begin > end else begin <= hour < end):
        return None
    threshold = {"from_hour": begin, "to_hour": end, "at_least": str(least)}
    return Finding({"amount": _text(seen.units), "local_hour": hour}, threshold, [])


def _new_merchant_high_amount(rule: AlertRule, memory: Memory, seen: Seen) -> Finding | None:
    least = rule.money("at_least", seen.currency)
    if not seen.is_first or least is None or seen.amount < least:
        return None
    if memory.payments < rule.number("after_payments") or seen.merchant_key in memory.merchants:
        return None
    values = {"amount": _text(seen.units), "payments": memory.payments, "merchants_known": len(memory.merchants)}
    return Finding(values, {"at_least": str(least), "after_payments": rule.number("after_payments")}, [])


def _watched_category(rule: AlertRule, _: Memory, seen: Seen) -> Finding | None:
    least = rule.money("at_least", seen.currency)
    if not seen.is_first or least is None or seen.amount < least:
        return None
    if seen.merchant_category not in rule.settings["categories"]:
        return None
    values = {"amount": _text(seen.units), "category": seen.merchant_category}
    return Finding(values, {"at_least": str(least), "categories": list(rule.settings["categories"])}, [])


CHECKS: dict[str, Callable[[AlertRule, Memory, Seen], Finding | None]] = {
    "AMOUNT_OVER_LIMIT": _amount_over_limit,
    "AMOUNT_FAR_ABOVE_HISTORY": _amount_far_above_history,
    "VELOCITY": _velocity,
    "DECLINES_THEN_SUCCESS": _declines_then_success,
    "IMPOSSIBLE_TRAVEL": _impossible_travel,
    "NIGHT_TIME": _night_time,
    "NEW_MERCHANT_HIGH_AMOUNT": _new_merchant_high_amount,
    "WATCHED_CATEGORY": _watched_category,
}
