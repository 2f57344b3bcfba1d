"""Free ports on 127.0.0.1."""

import socket
from collections.abc import Collection, Mapping

from control import airflow
from control.services import runs_here
from core.errors import TieoutError

# Which settings name the ports on which a service listens; one that is taken moves up to the next free one.
PORTS = {
    "kafka": ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT"),
    "postgres": ("POSTGRES_PORT",),
    "stream": ("SPARK_UI_PORT",),
    "lineage": ("DOCS_PORT",),
    airflow.API: ("AIRFLOW_PORT",),
    "dashboard": ("DASHBOARD_PORT",),
}
LISTENING = tuple(setting for settings in PORTS.values() for setting in settings)
HIGHEST = 65_535


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


def settle_ports(settings: Mapping[str, str], names: Collection[str] = LISTENING) -> dict[str, str]:
    """Return the settings that must change for services to get a port, the broker's address with it.

    Args:
        settings: all of them.
        names: the ports to settle; the others are taken already.

    Raises:
        TieoutError: no port is left for one of them.
    """
    promised = {int(settings[name]) for name in LISTENING if name not in names}
    moved: dict[str, str] = {}
    elsewhere = {"KAFKA": not runs_here("kafka", settings), "POSTGRES": not runs_here("postgres", settings)}
    for name in names:
        if elsewhere.get(name.partition("_")[0]):
            continue
        port = next_free(name, int(settings[name]), promised)
        promised.add(port)
        if str(port) != settings[name]:
            moved[name] = str(port)
    address = f"127.0.0.1:{moved.get('KAFKA_PORT', settings['KAFKA_PORT'])}"
    if runs_here("kafka", settings) and settings["KAFKA_BOOTSTRAP"] != address:
        moved["KAFKA_BOOTSTRAP"] = address
    return moved
