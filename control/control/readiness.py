"""Whether a service does its work: asked of itself, on its own port, of a process that is ours."""

import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from control import airflow, orphans
from control.catching_up import stream_is_ready
from control.supervision import process_states
from core.layout import Layout
from core.locks import AdvisoryKey, is_advisory_held

# Which settings name the ports on which a service listens.
PORTS = {
    "kafka": ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT"),
    "postgres": ("POSTGRES_PORT",),
    "stream": ("SPARK_UI_PORT",),
    "lineage": ("DOCS_PORT",),
    "dashboard": ("DASHBOARD_PORT",),
    airflow.API: ("AIRFLOW_PORT",),
}
# The exit code by which a service says that a person has to decide (RefusalError); the supervisor leaves it stopped.
WAITS_FOR_DECISION = 78
# What cannot be asked has to live for so long: a wrong password, say, shows by then.
PROVEN_SECONDS = 5


def waits_for_decision(info: Mapping[str, Any]) -> bool:
    """Say whether a service has refused to go on; every other end is followed by another start."""
    return info.get("statename") == "EXITED" and info.get("exitstatus") == WAITS_FOR_DECISION


def our_ports(layout: Layout) -> set[int] | None:
    """Return the ports on which this platform's processes listen; None where this account may not look at them."""
    found: set[int] = set()
    for process in orphans.members(layout):
        try:
            connections = process.net_connections("tcp")
        except psutil.AccessDenied:
            return None
        except psutil.Error:
            continue
        found |= {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
    return found


def answers(port: int) -> bool:
    """Say whether somebody accepts connections on 127.0.0.1:port, whoever it is."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Look:
    """One look at the services.

    Attributes:
        states: what the supervisor says of each.
        answering: ports of theirs on which somebody accepts connections.
        ours: ports on which this platform's processes listen; None where this account may not look.
    """

    layout: Layout
    settings: Mapping[str, str] = field(repr=False)  # secrets
    states: Mapping[str, Mapping[str, Any]]
    answering: frozenset[int]
    ours: set[int] | None

    def foreign_ports(self, name: str) -> list[str]:
        """Return those of a service's port settings on which another program listens."""
        if self.ours is None:
            return []
        ports = {each: int(self.settings[each]) for each in PORTS.get(name, ())}
        return [each for each, port in ports.items() if port in self.answering and port not in self.ours]

    def problem(self, name: str) -> str | None:
        """Return what keeps a service from being ready, None when it does its work."""
        info = self.states.get(name, {})
        state = str(info.get("statename", "STOPPED"))
        if state != "RUNNING":
            return f"it is {state.lower()} ({info.get('spawnerr') or info.get('description') or 'no message'})"
        if foreign := self.foreign_ports(name):
            return f"another program listens on 127.0.0.1:{self.settings[foreign[0]]}"
        for each in PORTS.get(name, ()):
            if int(self.settings[each]) not in self.answering:
                return f"nothing answers on 127.0.0.1:{self.settings[each]}"
        if name in _CHECKS:
            return _CHECKS[name](self.layout, self.settings, info)
        if name not in PORTS and info["now"] - info["start"] < PROVEN_SECONDS:
            return "it has just been started"
        return None


def look(layout: Layout, settings: Mapping[str, str], names: Iterable[str], before: Look | None = None) -> Look:
    """Look at services once.

    Args:
        layout: the platform's home.
        settings: its settings.
        names: which services.
        before: the look before this one: processes are searched for ports only where something has changed since.
    """
    ports = {int(settings[each]) for name in names for each in PORTS.get(name, ())}
    answering, states = frozenset(filter(answers, ports)), process_states(layout)
    ours: set[int] | None = set()
    if before is not None and before.ours and answering <= before.ours and _pids(states) == _pids(before.states):
        ours = before.ours
    elif answering:
        # Asked after the answers: what answered and was ours is still among them.
        ours = our_ports(layout)
    return Look(layout, settings, states, answering, ours)


def _pids(states: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: info["pid"] for name, info in states.items()}


def _stream(layout: Layout, _: Mapping[str, str], info: Mapping[str, Any]) -> str | None:
    return None if stream_is_ready(layout, info.get("pid")) else "its query has not begun"


def _live(_: Layout, settings: Mapping[str, str], __: Mapping[str, Any]) -> str | None:
    """Ask the database whether a live view is at work: whoever counts holds its lock."""
    import psycopg

    from control.roles import dsn

    try:
        with psycopg.connect(dsn(settings, "postgres"), autocommit=True) as connection:
            is_held = is_advisory_held(connection, AdvisoryKey.LIVE, "live")
    except psycopg.OperationalError as error:
        return f"the database does not answer: {str(error).strip().splitlines()[0]}"
    return None if is_held else "it does not count yet"


def _page(setting: str, path: str) -> Callable[[Layout, Mapping[str, str], Mapping[str, Any]], str | None]:
    def check(_: Layout, settings: Mapping[str, str], __: Mapping[str, Any]) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{settings[setting]}{path}", timeout=5):
                return None
        except (urllib.error.URLError, OSError) as error:
            return f"its page does not answer: {error}"

    return check


_CHECKS: dict[str, Callable[[Layout, Mapping[str, str], Mapping[str, Any]], str | None]] = {
    "stream": _stream,
    "live": _live,
    "lineage": _page("DOCS_PORT", "/"),
    "dashboard": _page("DASHBOARD_PORT", "/_stcore/health"),
}
