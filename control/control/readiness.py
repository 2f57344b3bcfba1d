"""Whether a service does its work: asked of itself, on its own port, of a process that is ours."""

import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from control import orphans
from control.accounts import choose_accounts, ids
from control.catching_up import stream_is_ready
from control.loopback import open_direct
from control.ports import PORTS
from control.supervision import process_states
from core.layout import Layout
from core.locks import AdvisoryKey, is_advisory_held
from core.tcp_table import LISTENING, tcp_sockets

# The exit code by which a service says that a person has to decide (RefusalError); the supervisor leaves it stopped.
WAITS_FOR_DECISION = 78
# What cannot be asked has to live for so long: a wrong password, say, shows by then.
PROVEN_SECONDS = 5


def waits_for_decision(info: Mapping[str, Any]) -> bool:
    """Say whether a service has refused to go on; every other end is followed by another start."""
    return info.get("statename") == "EXITED" and info.get("exitstatus") == WAITS_FOR_DECISION


def our_ports(layout: Layout) -> set[int] | None:
    """Return the ports on which this platform's processes listen; None where nobody tells this account.

    Root without CAP_SYS_PTRACE, as in some containers, may not look at the processes of other accounts: there a port
    counts as this platform's when one of its accounts listens on it.
    """
    found: set[int] = set()
    for process in orphans.members(layout):
        try:
            connections = process.net_connections("tcp")
        except psutil.AccessDenied:
            return _ports_of_accounts(layout)
        except psutil.Error:
            continue
        found |= {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
    return found


def _ports_of_accounts(layout: Layout) -> set[int] | None:
    accounts = choose_accounts(layout)
    uids = {ids(user)[0] for user in (accounts.services, accounts.postgres)}
    waiting = [each for each in tcp_sockets() if each.state == LISTENING]
    return {each.port for each in waiting if each.uid in uids} if waiting else None


def answers(port: int) -> bool:
    """Say whether somebody accepts connections on 127.0.0.1:port, whoever it is."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class ServiceStates:
    """The services at one moment.

    Attributes:
        states: what the supervisor says of each.
        answering: ports of theirs on which somebody accepts connections.
        ours: ports on which this platform's processes listen; None where nobody tells this account.
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
        if self.ours is None and name in PORTS:
            return f"this account cannot see whose program listens on 127.0.0.1:{self.settings[PORTS[name][0]]}"
        return self._problem_at_work(name, info)

    def _problem_at_work(self, name: str, info: Mapping[str, Any]) -> str | None:
        if name in _CHECKS:
            return _CHECKS[name](self.layout, self.settings, info)
        if name not in PORTS and info["now"] - info["start"] < PROVEN_SECONDS:
            return "it has just been started"
        return None


def inspect_services(
    layout: Layout, settings: Mapping[str, str], names: Iterable[str], before: ServiceStates | None = None
) -> ServiceStates:
    """Ask the supervisor and the ports about services once.

    Args:
        layout: the platform's home.
        settings: its settings.
        names: which services.
        before: what was found last: processes are searched for ports only where something has changed since.
    """
    ports = {int(settings[each]) for name in names for each in PORTS.get(name, ())}
    answering, states = frozenset(filter(answers, ports)), process_states(layout)
    ours: set[int] | None = set()
    if before is not None and before.ours and answering <= before.ours and _pids(states) == _pids(before.states):
        ours = before.ours
    elif answering:
        # Asked after the answers: what answered and was ours is still among them.
        ours = our_ports(layout)
    return ServiceStates(layout, settings, states, answering, ours)


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
            with open_direct(f"http://127.0.0.1:{settings[setting]}{path}", timeout=5):
                return None
        except OSError as error:
            return f"its page does not answer: {error}"

    return check


_CHECKS: dict[str, Callable[[Layout, Mapping[str, str], Mapping[str, Any]], str | None]] = {
    "stream": _stream,
    "live": _live,
    "lineage": _page("DOCS_PORT", "/"),
    "dashboard": _page("DASHBOARD_PORT", "/_stcore/health"),
}
