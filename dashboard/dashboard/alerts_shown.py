"""Alerts as people read them: the rule, what was found against what is allowed, the command that computes it again."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dashboard.database import Row

LONGEST = 160
MOST_EVENTS = 8
FOUND, ALLOWED, EVENTS = "found", "threshold", "earlier events"


def command(row: Row) -> str:
    """Return what recomputes an alert from its evidence."""
    return f"./scripts/tieout alert explain {row['alert_id']}"


def evidence(text: str) -> list[dict[str, str]]:
    """Return the evidence line by line: what was found, what the threshold was, which events had come before."""
    kept = json.loads(text)
    lines = [*_lines(FOUND, kept.get("values", {})), *_lines(ALLOWED, kept.get("threshold", {}))]
    if kept.get("earlier_events"):
        lines.append({"kind": EVENTS, "name": "partition:offset", "value": _events(kept["earlier_events"])})
    return lines


def brief(text: str) -> str:
    """Return the evidence on one line, what was found first."""
    lines = evidence(text)
    parts = (
        ", ".join(f"{line['name']} {line['value']}" for line in lines if line["kind"] == kind)
        for kind in (FOUND, ALLOWED)
    )
    said = " against ".join(part for part in parts if part)
    return said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"


def _lines(kind: str, values: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for name, value in values.items():
        yield {"kind": kind, "name": name.replace("_", " "), "value": _word(value)}


def _events(places: list[list[int]]) -> str:
    said = ", ".join(f"{partition}:{offset}" for partition, offset in places[-MOST_EVENTS:])
    more = len(places) - MOST_EVENTS
    return f"{more} more, then {said}" if more > 0 else said


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in value if each is not None)
    return "-" if value is None else str(value)
