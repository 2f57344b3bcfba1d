"""The regression guard: which ratio fell by more than a fifth below the baseline."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.frame import far

BASELINE = Path(__file__).parents[1] / "baseline.json"
ALLOWED = 0.2


def read_baseline(size: str, path: Path = BASELINE) -> dict[str, dict[str, Any]]:
    """Return the ratios of the baseline of a size by hop and name; empty where there is none yet."""
    return {name: hop["ratios"] for name, hop in _all(path).get(size, {}).items()}


def keep_baseline(report: Mapping[str, Any], path: Path = BASELINE) -> None:
    """Keep a report's ratios as the baseline of its size; what was not measured keeps its own."""
    baselines = _all(path)
    hops = baselines.setdefault(report["size"], {})
    for name, ratios in ratios_of(report).items():
        if ratios:
            kept = hops.get(name, {}).get("ratios", {})
            hops[name] = {"at": report["at"], "machine": report["machine"], "ratios": {**kept, **ratios}}
    path.write_text(json.dumps(baselines, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _all(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def ratios_of(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a report's ratios in the baseline's form; plain times and sizes are a machine's own and left out."""
    return {
        name: {
            goal["name"]: {"value": goal["value"], "at_least": goal["at_least"]}
            for goal in hop["goals"]
            if goal["unit"] == "x" and goal["value"] is not None
        }
        for name, hop in report["hops"].items()
    }


def fallen(report: Mapping[str, Any], baseline: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say which ratios are worse than the baseline by more than a fifth.

    Of a side that is far behind one round is taken: how far says little, and being far is what is guarded.
    """
    lines = []
    for hop, goals in ratios_of(report).items():
        for name, now in goals.items():
            before = baseline.get(hop, {}).get(name)
            if before is None:
                continue
            wanted = min(before["value"], far(report["size"])) if now["at_least"] else before["value"]
            worse = wanted / now["value"] if now["at_least"] else now["value"] / wanted
            if worse > 1 / (1 - ALLOWED):
                lines.append(f"{hop}: {name}: {now['value']:.2f}, and {before['value']:.2f} in the baseline")
    return lines


def compared(report: Mapping[str, Any], baseline: Mapping[str, Mapping[str, Any]]) -> tuple[int, list[str]]:
    """Return how many ratios have a counterpart in the baseline, and those of the baseline that the report lacks."""
    found = ratios_of(report)
    lacking = [f"{hop}: {name}" for hop in found for name in baseline.get(hop, {}) if name not in found[hop]]
    return sum(name in baseline.get(hop, {}) for hop, goals in found.items() for name in goals), lacking
