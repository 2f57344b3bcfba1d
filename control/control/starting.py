"""Services are started on ports that are free at that moment, and waited for until each of them does its work."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from control import supervision
from control.env import change_env
from control.ports import is_free, settle_ports
from control.processes import Platform
from control.progress import say
from control.readiness import ServiceStates, inspect_services, our_ports, waits_for_decision
from core.errors import TieoutError

PATIENCE_SECONDS = 600.0
# A service that keeps failing for this long is reported as not ready.
FAILING_SECONDS = 60.0
LIVES_SECONDS = 15
SAY_EVERY_SECONDS = 10.0
MOST_MOVES = 5


def with_free_ports(platform: Platform, names: Collection[str] | None = None) -> Platform:
    """Return the platform with another port for each of the settings whose port is taken; it is kept in `.env`."""
    layout, values = platform.layout, platform.settings
    moved = settle_ports(values, names, platform.registered)
    for name, port in moved.items():
        if name.endswith("_PORT"):
            say(f"  {name}: {values[name]} is taken, {port} is used from now on (kept in {layout.env_file})")
    if moved:
        change_env(layout, moved)
    return replace(platform, settings={**values, **moved})


def start_services(platform: Platform, names: Sequence[str], *, prepare: bool = True) -> Platform:
    """Prepare and start those of the services that do not run; return the platform with the ports that they have.

    RUNNING means started or waiting for what it needs: `wait_until_ready` waits for more.
    """
    for name in names:
        state = supervision.process_states(platform.layout).get(name, {}).get("statename")
        if state not in {"RUNNING", "STARTING"}:
            platform = _move(platform, _taken(platform, platform.services[name].service.ports))
            if prepare:
                prepare_services(platform, [name])
        supervision.start_service(platform.layout, platform.services[name])
    return platform


def prepare_services(platform: Platform, names: Iterable[str]) -> None:
    """Do what the services need before they start."""
    for name in names:
        prepare = platform.services[name].service.prepare
        if prepare:
            prepare(platform)


def wait_until_ready(platform: Platform, names: Sequence[str], seconds: float = PATIENCE_SECONDS) -> Platform:
    """Return when each of the services does its work; one whose port another program has taken gets another one.

    Raises:
        TieoutError: a service has refused to go on, ends again and again, or is not ready in time.
    """
    begun = said = time.monotonic()
    failing: dict[str, float] = {}
    moves, seen = 0, None
    while True:
        now = time.monotonic()
        seen = inspect_services(platform.layout, platform.settings, names, seen)
        _refuse_decisions(seen, names)
        foreign = [port for name in names for port in _foreign(platform, seen, name)]
        if foreign and moves < MOST_MOVES:
            moves += 1
            platform, seen = _move(platform, foreign), None
            continue
        problems = {name: why for name in names if (why := seen.problem(name)) is not None}
        if not problems:
            last = inspect_services(platform.layout, platform.settings, names)
            if not any(last.problem(name) for name in names):
                return platform
        for name in problems:
            _note_failure(name, seen.states.get(name, {}), failing, now)
        _refuse_failures(seen, problems, failing, now, begun + seconds)
        if now - said > SAY_EVERY_SECONDS:
            said = now
            say("  waiting for " + "; ".join(f"{name}: {why}" for name, why in problems.items()))
        time.sleep(0.5)


def _note_failure(name: str, info: Mapping[str, Any], failing: dict[str, float], now: float) -> None:
    """Remember since when a service keeps failing; a service that has run for 15 s no longer counts as failing."""
    state = info.get("statename", "STOPPED")
    if state in {"BACKOFF", "FATAL", "EXITED", "STOPPED"}:
        failing.setdefault(name, now)
    elif state == "RUNNING" and info["now"] - info["start"] > LIVES_SECONDS:
        failing.pop(name, None)


def _foreign(platform: Platform, seen: ServiceStates, name: str) -> list[str]:
    """Return the port settings that another program keeps from a service, also one that listens for nobody."""
    found = seen.foreign_ports(name)
    if not found and seen.states.get(name, {}).get("statename") in {"BACKOFF", "FATAL"}:
        return _taken(platform, platform.services[name].service.ports)
    return found


def _taken(platform: Platform, names: Sequence[str]) -> list[str]:
    taken = [each for each in names if not is_free(int(platform.settings[each]))]
    ours = our_ports(platform.layout) if taken else set()
    return [] if ours is None else [each for each in taken if int(platform.settings[each]) not in ours]


def _move(platform: Platform, names: Sequence[str]) -> Platform:
    """Give settings other ports, and start again what ran and knows them."""
    if not names:
        return platform
    layout, states = platform.layout, supervision.process_states(platform.layout)
    platform = with_free_ports(platform, names)
    prepare_services(
        platform, [each.name for each in platform.services.values() if set(each.service.ports) & set(names)]
    )
    supervision.refresh(layout, platform.services.values())
    for name, service in platform.services.items():
        if states.get(name, {}).get("statename") in {"RUNNING", "STARTING", "BACKOFF", "FATAL"}:
            supervision.start_service(layout, service)
    return platform


def _refuse_decisions(seen: ServiceStates, names: Sequence[str]) -> None:
    for name in names:
        if waits_for_decision(seen.states.get(name, {})):
            raise TieoutError(
                f"{name} waits for your decision: it refuses to go on by itself.",
                "the services that were started still run; the lake and the warehouse are as they were.",
                f"./scripts/tieout logs {name}, which names the choices; then ./scripts/start.sh",
            )


def _refuse_failures(
    seen: ServiceStates, problems: Mapping[str, str], failing: Mapping[str, float], now: float, deadline: float
) -> None:
    for name, why in problems.items():
        gave_up = seen.states.get(name, {}).get("statename") == "FATAL"
        if gave_up or now - failing.get(name, now) > FAILING_SECONDS or now > deadline:
            raise TieoutError(
                f"{name} is not ready: {why}.",
                "the services that were started still run.",
                f"./scripts/tieout logs {name}, or ./scripts/tieout doctor",
            )
