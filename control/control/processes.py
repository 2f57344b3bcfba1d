"""One platform: its services as processes, each with its command, its account and the only secrets that it gets."""

import base64
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from control import orphans, registry
from control.accounts import Accounts
from control.service import Group, Service, Services
from core.layout import Layout

WAIT_EXEC = Path(__file__).with_name("wait_exec.py")


@dataclass(frozen=True)
class Process:
    """A service as the supervisor runs it.

    Attributes:
        command: the program and its arguments, waiting for what it needs.
        environment: all that it gets; the supervisor adds nothing.
        user: its account; None: the caller's.
    """

    service: Service
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    user: str | None

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    @property
    def supervised_name(self) -> str:
        """The name by which the supervisor starts and stops it."""
        return f"{self.service.supervisor_group}:{self.name}"

    @property
    def supervised_environment(self) -> Mapping[str, str]:
        """What the supervisor is told: what wait_exec unpacks is one word, whatever characters the values have."""
        if str(WAIT_EXEC) not in self.command:
            return self.environment
        packed = json.dumps(dict(self.environment), sort_keys=True).encode()
        return {"TIEOUT_ENVIRONMENT": base64.b64encode(packed).decode()}


@dataclass(frozen=True)
class Platform:
    """One platform that is set up: where it stands, who runs it, its settings and services."""

    layout: Layout
    accounts: Accounts
    settings: Mapping[str, str] = field(repr=False)  # secrets

    @property
    def registered(self) -> Services:
        """Every service that this home can have, by name, also where the settings do without it."""
        return registry.services_of(self.layout)

    @property
    def services(self) -> dict[str, Process]:
        """Every service that this platform runs, by name."""
        return {
            name: _process(service, self)
            for name, service in self.registered.items()
            if service.is_wanted(self.settings) and not service.is_elsewhere(self.settings)
        }

    def names(self, *groups: Group, optional: bool = False) -> list[str]:
        """Return the names of the services of groups: those of the demo, or all the others."""
        found = (process.service for process in self.services.values())
        return [each.name for each in found if each.group in groups and each.is_optional == optional]


def base_environment(layout: Layout) -> dict[str, str]:
    """Return what every process gets: where things are, and nothing secret."""
    java_home = os.environ.get("JAVA_HOME")
    return {
        "PATH": os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "HOME": str(layout.state / "account"),
        "LANG": "C.UTF-8",
        "TIEOUT_HOME": str(layout.home),
        "PYTHONUNBUFFERED": "1",
        **({"JAVA_HOME": java_home} if java_home else {}),
    }


def _process(service: Service, platform: Platform) -> Process:
    command, own = tuple(service.command(platform)), service.environment(platform)
    if service.account == "postgres":
        # The account may not reach our Python: setpriv does what wait_exec does.
        setpriv = shutil.which("setpriv")
        wrapped = (setpriv, "--pdeathsig", service.stop_signal, "--", *command) if setpriv else command
        return Process(service, wrapped, {"LANG": "C.UTF-8", **own}, platform.accounts.postgres)
    settings = platform.settings
    known = {name: settings[name] for name in service.knows if name in settings}
    environment = {**base_environment(platform.layout), **known, **own, orphans.MARK: str(platform.layout.home)}
    wishes = (*((service.priority,) if service.priority else ()), *_waits(service, platform))
    waiting = (sys.executable, "-I", "-S", str(WAIT_EXEC), f"SIG{service.stop_signal}", *wishes, "--", *command)
    return Process(service, waiting, environment, platform.accounts.services)


def _waits(service: Service, platform: Platform) -> list[str]:
    """Return what wait_exec is to wait for: what runs elsewhere is not waited for."""
    others = (platform.registered[name] for name in service.waits_for)
    return [f"tcp:{platform.settings[each.ports[0]]}" for each in others if not each.is_elsewhere(platform.settings)]
