"""What a build said of its models and tests, and what that means for the task of each model. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Statuses as dbt writes them.
GOOD = frozenset({"success", "pass", "warn"})
BAD = frozenset({"error", "fail", "runtime error"})
UPSTREAM = frozenset({"skipped", "partial success"})


def name_of(unique_id: str) -> str:
    """Return the name that a person knows of model.tieout.x or test.tieout.x.hash."""
    return unique_id.split(".")[2] if unique_id.count(".") >= 2 else unique_id


# States of Airflow's from which a task does not go on by itself.
OVER = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})


@dataclass(frozen=True)
class Verdict:
    """How a model's task ends: success, failed or skipped, and why."""

    state: str
    words: str


def judge(
    nodes: Mapping[str, Mapping[str, Any]], model: str, tests: Iterable[str], producer: str | None
) -> Verdict | None:
    """Say how a model's task ends, or None while that is open.

    A model is good when it was built and each of its tests that ran passed; a build that ended well ran them all.

    Args:
        nodes: what the build has said so far: {unique id: {"status": ...}}.
        model: the model's unique id.
        tests: unique ids of its tests that a build runs.
        producer: the state of the task that builds, read before the nodes.
    """
    tests = tuple(tests)
    status = nodes.get(model, {}).get("status")
    said = {test: nodes[test]["status"] for test in tests if test in nodes}
    broken = [name_of(test) for test, word in said.items() if word in BAD]
    if wrong := _what_is_wrong(model, status, broken):
        # Not before the build is over: one that met an outage is tried again.
        return Verdict("failed", wrong) if producer in OVER else None
    if status in GOOD and (len(said) == len(tests) or producer == "success"):
        passed = sum(word in GOOD for word in said.values())
        seconds = nodes[model].get("seconds")
        return Verdict("success", f"{name_of(model)} built in {seconds} s, {passed} of {len(tests)} tests passed")
    if producer == "skipped" or (producer == "success" and not nodes):
        return Verdict("skipped", "nothing was new, so nothing was built")
    if producer in OVER:
        return Verdict("failed", f"the build ended ({producer}) without a last word on {name_of(model)} and its tests")
    return None


def _what_is_wrong(model: str, status: str | None, broken: list[str]) -> str | None:
    if status in BAD:
        return f"{name_of(model)} was not built; the build's task has the reason"
    if broken:
        return f"{name_of(model)} was built and broke {', '.join(broken)}"
    return f"{name_of(model)} was not built: something before it failed" if status in UPSTREAM else None
