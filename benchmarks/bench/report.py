"""A run's report: the table for people, and the JSON beside it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.frame import Hop, Outcome
from core.layout import CHECKOUT


def as_json(outcome: Outcome, hop: Hop) -> dict[str, Any]:
    """Return a hop's part of the report."""
    return {
        "title": hop.title,
        "moves_rows": hop.moves_rows,
        "sides": [figure.as_json() for figure in outcome.figures],
        "goals": [goal.as_json() for goal in outcome.goals],
        "not_run": [{"name": each.name, "reason": each.reason} for each in outcome.not_run],
        "notes": outcome.notes,
    }


def table(report: Mapping[str, Any]) -> str:
    """Return the ratios with goal and verdict, the sides' own figures, and what was not run."""
    lines = [f"{'hop':<14} {'what':<58} {'value':>10}  {'goal':>10}  verdict"]
    for name in report["hops"]:
        lines += goals(report, name)
    for name, hop in report["hops"].items():
        if hop["sides"]:
            lines += ["", f"{name}: {hop['title']}"]
            lines.append(f"  {'side':<44} {'median s':>9} {'spread':>7} {'a second':>12} {'count':>12}")
            lines += [_side(side, moves_rows=hop["moves_rows"]) for side in hop["sides"]]
        lines += [f"  not run: {each['name']}: {each['reason']}" for each in hop["not_run"]]
        lines += [f"  {note}" for note in hop["notes"]]
    return "\n".join(lines)


def goals(report: Mapping[str, Any], name: str) -> list[str]:
    """Return the table's lines of one hop."""
    return [_goal(name, goal) for goal in report["hops"][name]["goals"]]


def _goal(hop: str, goal: Mapping[str, Any]) -> str:
    value = "-" if goal["value"] is None else f"{goal['value']:.2f} {goal['unit']}"
    note = f" ({goal['note']})" if goal.get("note") else ""
    return f"{hop:<14} {goal['name']:<58} {value:>10}  {goal['goal']:>10}  {goal['verdict']}{note}"


def _side(side: Mapping[str, Any], *, moves_rows: bool) -> str:
    rate = f"{side['rate']:,.0f}" if moves_rows else "-"
    other = "" if side["gives_the_same_result"] else "  another result than ours"
    note = f"  {side['note']}" if side.get("note") else ""
    return (
        f"  {side['side']:<44} {side['seconds']:>9.2f} {side['spread']:>6.0%} {rate:>12} "
        f"{side['count']:>12,}{other}{note}"
    )


def write(report: Mapping[str, Any], out: Path | None) -> Path:
    """Write the JSON beside the table; return where."""
    stamp = datetime.fromisoformat(str(report["at"])).astimezone(UTC)
    path = out or CHECKOUT / "data" / "bench" / f"{stamp:%Y%m%dT%H%M%SZ}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return path
