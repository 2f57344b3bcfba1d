"""The end of every round: start what is down, drain, prove with the platform's own proof and without it."""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from drill import books
from drill.child import DrillError
from drill.harness import Harness
from drill.round import Kill

TEMPORARY_FAILURE = 75


@dataclass
class Report:
    """How a round went.

    Attributes:
        kills: every SIGKILL that hit.
        notes: what was done besides, and what the platform answered.
        verdicts: how many equations of `proof --full` have which verdict.
        offsets: how many the broker has of each entity; each of them was followed.
        differences: what does not tie out; empty is what the drill is for.
    """

    scenario: str
    number: int
    kills: list[Kill] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when nothing differs."""
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        """Return the form of `drill --json`."""
        return {
            "scenario": self.scenario,
            "round": self.number,
            "ok": self.ok,
            "kills": [{"target": kill.target, "moment": kill.moment} for kill in self.kills],
            "notes": self.notes,
            "seconds": round(self.seconds, 1),
            "proof": self.verdicts,
            "offsets": sum(self.offsets.values()),
            "offsets_by_entity": self.offsets,
            "differences": self.differences,
        }

    def __str__(self) -> str:
        done = "; ".join([*map(str, self.kills), *self.notes]) or "nothing was hit"
        proof = ", ".join(f"{count} {verdict}" for verdict, count in self.verdicts.items())
        found = f"{counted(self.offsets)}, each once" if self.ok else f"{len(self.differences)} DIFFERENCES"
        return f"  {self.scenario:<18} {self.number:>3}  {done}\n{'':24}proof: {proof}; {found}; {self.seconds:.0f} s"


def counted(offsets: dict[str, int]) -> str:
    """Return how many offsets of each entity were followed, in words."""
    return " and ".join(f"{count:,} offsets of {name}" for name, count in offsets.items())


def report(scenario: str, number: int, work: Callable[[Report], None]) -> Report:
    """Run a round and time it; an outcome that the platform must not have is a difference."""
    told, begun = Report(scenario, number), time.monotonic()
    work(told)
    told.seconds = time.monotonic() - begun
    return told


def prove(harness: Harness, told: Report, *, refresh: bool = False) -> None:
    """Drain, prove from the lake up, and follow every offset by other means; `refresh`: compute the marts anew too."""
    drain(harness, told)
    proof = _proof(harness)
    told.verdicts = dict(Counter(equation["verdict"] for equation in proof["equations"]))
    told.differences += [_words(equation) for equation in proof["equations"] if not _ties_out(equation)]
    if not proof["equations"]:
        told.differences.append("the proof has no equation")
    told.offsets, found = books.differences(harness.settings, harness.lake)
    told.differences += found
    for name in [name for name, count in told.offsets.items() if not count]:
        told.differences.append(f"the broker has no event of {name}: they were not drilled")
    if refresh:
        told.differences += compute_anew(harness)


def drain(harness: Harness, told: Report) -> None:
    """Bring all that the broker has into proven marts, as an operator would: start what is down, `tieout run`."""
    harness.wait_for_services()
    harness.ready_stream()
    for _ in range(3):
        child = harness.start("run", "--json")
        code = child.wait()
        if code != TEMPORARY_FAILURE:
            break
        harness.wait_for_services()
        harness.ready_stream()
    if code != 0:
        told.differences.append(f"tieout run ended with exit code {code}: {child.last_words}")


def _proof(harness: Harness) -> Any:
    child = harness.start("proof", "--full", "--json")
    child.wait()
    try:
        return json.loads(child.out.read_text(encoding="utf-8"))
    except ValueError:
        raise DrillError(
            f"the proof gave no answer: {child.last_words}", "all is as it was.", f"read {child.log}"
        ) from None


def _ties_out(equation: dict[str, Any]) -> bool:
    """All that was produced is in the marts, so nothing may be OPEN but a feed whose producer was killed."""
    return equation["verdict"] in {"OK", "UNATTESTED", "VOID"} or (equation["name"], equation["verdict"]) == (
        "E0",
        "OPEN",
    )


def _words(equation: dict[str, Any]) -> str:
    scope = ", ".join(f"{key} {value}" for key, value in equation["scope"].items() if key != "topic_id")
    return f"{equation['name']} ({scope}) {equation['currency'] or ''} {equation['verdict']}: {equation['difference']}"


def compute_anew(harness: Harness) -> list[str]:
    """Compute the marts anew from silver; return the marts that are not what the increments had made of them."""
    before = books.marts(harness.settings)
    harness.do("build", "--full-refresh")
    after = books.marts(harness.settings)
    if not after:
        return ["there are no marts"]
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return [f"{name}: the increments made another table than a full refresh" for name in names]
