"""Free ports on 127.0.0.1."""

import socket
from collections.abc import Collection, Mapping

from control.registry import plain_services
from control.service import Services
from core.errors import TieoutError

HIGHEST = 65_535


def listening(services: Services) -> tuple[str, ...]:
    """Return the settings that name the ports on which services listen."""
    return tuple(name for service in services.values() for name in service.ports)


LISTENING = listening(plain_services())


def is_free(port: int) -> bool:
    """Say whether a service could listen on the port, on any address of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def next_free(name: str, port: int, taken: set[int]) -> int:
    """Return the first port from here on that is free and not promised to another service.

    Args:
        name: the setting that needs one, for the error.
        port: where the search begins.
        taken: promised ports.

    Raises:
        TieoutError: there is none up to the highest port.
    """
    found = next((each for each in range(port, HIGHEST + 1) if each not in taken and is_free(each)), None)
    if found is None:
        raise TieoutError(
            f"{name}: no port from {port} to {HIGHEST} is free.",
            "nothing was changed.",
            f"set {name} in .env to a lower port, then ./scripts/start.sh",
        )
    return found


def settle_ports(
    settings: Mapping[str, str], names: Collection[str] | None = None, services: Services | None = None
) -> dict[str, str]:
    """Return the settings that must change for services to get a port, the broker's address with it.

    Args:
        settings: all of them.
        names: the ports to settle; the others are taken already. None: all.
        services: whose; without them the plain ones.

    Raises:
        TieoutError: no port is left for one of them.
    """
    services = services or plain_services()
    names = listening(services) if names is None else names
    promised = {int(settings[name]) for name in listening(services) if name not in names}
    here = [service for service in services.values() if not service.is_elsewhere(settings)]
    found = dict(settings)
    for name in (name for service in here for name in service.ports if name in names):
        port = next_free(name, int(settings[name]), promised)
        promised.add(port)
        found[name] = str(port)
    for service in here:
        found.update(service.follows(found))
    return {name: value for name, value in found.items() if settings.get(name) != value}
