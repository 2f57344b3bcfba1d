"""Whether a service does its work: asked of itself, on its own port, of a process that is ours."""

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psutil

from control import orphans
from control.accounts import choose_accounts, exists, ids
from control.registry import services_of
from control.service import Services
from control.supervision import process_states
from core.layout import Layout
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
    uids = {ids(user)[0] for user in (accounts.services, accounts.postgres) if user is None or exists(user)}
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

    @cached_property
    def _services(self) -> Services:
        return services_of(self.layout)

    def _ports(self, name: str) -> tuple[str, ...]:
        return self._services[name].ports if name in self._services else ()

    def foreign_ports(self, name: str) -> list[str]:
        """Return those of a service's port settings on which another program listens."""
        if self.ours is None:
            return []
        ports = {each: int(self.settings[each]) for each in self._ports(name)}
        return [each for each, port in ports.items() if port in self.answering and port not in self.ours]

    def problem(self, name: str) -> str | None:
        """Return what keeps a service from being ready, None when it does its work."""
        info = self.states.get(name, {})
        state = str(info.get("statename", "STOPPED"))
        if state != "RUNNING":
            return f"it is {state.lower()} ({info.get('spawnerr') or info.get('description') or 'no message'})"
        if foreign := self.foreign_ports(name):
            return f"another program listens on 127.0.0.1:{self.settings[foreign[0]]}"
        ports = self._ports(name)
        for each in ports:
            if int(self.settings[each]) not in self.answering:
                return f"nothing answers on 127.0.0.1:{self.settings[each]}"
        if self.ours is None and ports:
            return f"this account cannot see whose program listens on 127.0.0.1:{self.settings[ports[0]]}"
        return self._problem_at_work(name, info)

    def _problem_at_work(self, name: str, info: Mapping[str, Any]) -> str | None:
        service = self._services.get(name)
        if service and service.check:
            return service.check(self.layout, self.settings, info)
        if not self._ports(name) and info["now"] - info["start"] < PROVEN_SECONDS:
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
    services = services_of(layout)
    ports = {int(settings[each]) for name in names if name in services for each in services[name].ports}
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
