"""How a dbt command ended, and what is said of a failure: fit for a log that others read."""

import re
from dataclasses import dataclass
from typing import Any

Node = dict[str, Any]

# What PostgreSQL and its client say when the database is away, restarts, or comes back. Everything else is ours.
OUTAGE = re.compile(
    r"could not connect|connection to server|connection refused|server closed the connection|connection already closed"
    r"|terminating connection|the database system is|ssl syscall|timeout expired|could not translate host name"
    r"|no route to host|remaining connection slots|too many connections|too many clients",
    re.IGNORECASE,
)
# Lines of a database error that quote rows, and dbt's own stack.
QUOTES = ("DETAIL:", "CONTEXT:", "> in macro", "> called by", "compiled code at")


def without_rows(message: str) -> str:
    """Return a database error's last lines without those that quote rows."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return " ".join([line for line in lines if not line.startswith(QUOTES)][-4:])


def is_outage(failures: list[str]) -> bool:
    """Say whether what failed, failed because the database was away."""
    return any(OUTAGE.search(line) for line in failures)


@dataclass(frozen=True)
class Outcome:
    """How a dbt command ended.

    Attributes:
        ok: whether every node did what it should.
        nodes: name, kind, status, seconds and message of each node.
        error: what went wrong outside of nodes, or None.
    """

    ok: bool
    nodes: tuple[Node, ...]
    error: str | None

    def failures(self) -> list[str]:
        """Return what failed, a line or a few each; rows that a database error quotes are left out."""
        wrong = [node for node in self.nodes if node["status"] in ("error", "fail")]
        found = [f"{node['name']}: {without_rows(node['message'] or node['status'])}" for node in wrong]
        return found or [without_rows(self.error or "dbt ended without a word")]

    def count(self, kind: str) -> int:
        """Return how many nodes of a kind there were."""
        return sum(node["kind"] == kind for node in self.nodes)
