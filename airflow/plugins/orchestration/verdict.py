"""What dbt said of the nodes of one invocation, and what that means for each model and for the run. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# Statuses as dbt writes them into node_info.node_status.
GOOD = frozenset({"success", "pass", "warn"})
BAD = frozenset({"error", "fail", "runtime error"})
UPSTREAM = frozenset({"skipped", "partial success"})
ENDED = GOOD | BAD | UPSTREAM

# What PostgreSQL and its client say when the database is away, restarts, or comes back. Everything else is ours.
OUTAGE = re.compile(
    r"could not connect|connection to server|connection refused|server closed the connection|connection already closed"
    r"|terminating connection|the database system is|ssl syscall|timeout expired|could not translate host name"
    r"|no route to host|remaining connection slots|too many connections|too many clients",
    re.IGNORECASE,
)
# Lines of a database error that quote rows, and dbt's own stack: neither belongs in a log that others read.
QUOTES = ("DETAIL:", "CONTEXT:", "> in macro", "> called by", "compiled code at")


def without_rows(message: str) -> str:
    """Return a message without the lines that quote rows."""
    lines = (line.strip() for line in message.splitlines())
    return " ".join(line for line in lines if line and not line.startswith(QUOTES))


@dataclass
class Book:
    """The nodes of one dbt invocation, as its events come in."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)

    def note(self, event: Mapping[str, Any]) -> bool:
        """Take one of dbt's events; say whether it ended a node."""
        info, data = event.get("info") or {}, event.get("data") or {}
        node = data.get("node_info") or {}
        unique_id, status = node.get("unique_id"), node.get("node_status")
        message = without_rows(str(info.get("msg") or ""))
        if info.get("level") == "error" and message:
            if unique_id:
                self.messages[unique_id] = message
            else:
                self.outside.append(message)
        if not unique_id or status not in ENDED or self.nodes.get(unique_id, {}).get("status") == status:
            return False
        self.nodes[unique_id] = {"status": status, "seconds": _seconds(data)}
        return True

    def failures(self) -> list[str]:
        """Return what failed, a line each: models before tests, so that the cause comes first."""
        wrong = sorted((key for key, node in self.nodes.items() if node["status"] in BAD), key=lambda key: key > "t")
        return [f"{name_of(key)}: {self.messages.get(key) or self.nodes[key]['status']}" for key in wrong]

    def is_outage(self) -> bool:
        """Say whether what failed, failed because the database was away."""
        said = [*self.failures(), *self.outside[-5:]]
        return any(OUTAGE.search(line) for line in said)


def _seconds(data: Mapping[str, Any]) -> float | None:
    taken = data.get("execution_time")
    return round(float(taken), 2) if taken is not None else None


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

    A model is good when it was built and each of its tests that ran passed; a dbt task that ended well ran them all.

    Args:
        nodes: what dbt has said so far: {unique id: {"status": ...}}.
        model: the model's unique id.
        tests: unique ids of its tests that a build runs.
        producer: the state of the task that runs dbt, read before the nodes.
    """
    tests = tuple(tests)
    status = nodes.get(model, {}).get("status")
    said = {test: nodes[test]["status"] for test in tests if test in nodes}
    broken = [name_of(test) for test, word in said.items() if word in BAD]
    if wrong := _what_is_wrong(model, status, broken):
        return Verdict("failed", wrong)
    if status in GOOD and (len(said) == len(tests) or producer == "success"):
        passed = sum(word in GOOD for word in said.values())
        seconds = nodes[model].get("seconds")
        return Verdict("success", f"{name_of(model)} built in {seconds} s, {passed} of {len(tests)} tests passed")
    if producer == "skipped":
        return Verdict("skipped", "dbt's task was skipped")
    if producer in OVER:
        return Verdict("failed", f"dbt's task ended ({producer}) without a last word on {name_of(model)} and its tests")
    return None


def _what_is_wrong(model: str, status: str | None, broken: list[str]) -> str | None:
    if status in BAD:
        return f"{name_of(model)} was not built; dbt's task has the reason"
    if broken:
        return f"{name_of(model)} was built and broke {', '.join(broken)}"
    return f"{name_of(model)} was not built: something before it failed" if status in UPSTREAM else None
