"""Free ports on 127.0.0.1."""

import socket
from collections.abc import Collection, Mapping

from control.services import runs_here

# The services of this platform and where each listens; a port that is taken moves up to the next free one.
LISTENING = (
    "KAFKA_PORT",
    "KAFKA_CONTROLLER_PORT",
    "POSTGRES_PORT",
    "SPARK_UI_PORT",
    "DOCS_PORT",
    "AIRFLOW_PORT",
    "DASHBOARD_PORT",
)


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


def next_free(port: int, taken: set[int]) -> int:
    """Return the first port from here on that is free and not promised to another service."""
    while port in taken or not is_free(port):
        port += 1
    return port


def settle_ports(settings: Mapping[str, str], names: Collection[str] = LISTENING) -> dict[str, str]:
    """Return the settings that must change for services to get a port, the broker's address with it.

    Args:
        settings: all of them.
        names: the ports to settle; the others are taken already.
    """
    promised = {int(settings[name]) for name in LISTENING if name not in names}
    moved: dict[str, str] = {}
    elsewhere = {"KAFKA": not runs_here("kafka", settings), "POSTGRES": not runs_here("postgres", settings)}
    for name in names:
        if elsewhere.get(name.partition("_")[0]):
            continue
        port = next_free(int(settings[name]), promised)
        promised.add(port)
        if str(port) != settings[name]:
            moved[name] = str(port)
    address = f"127.0.0.1:{moved.get('KAFKA_PORT', settings['KAFKA_PORT'])}"
    if runs_here("kafka", settings) and settings["KAFKA_BOOTSTRAP"] != address:
        moved["KAFKA_BOOTSTRAP"] = address
    return moved
