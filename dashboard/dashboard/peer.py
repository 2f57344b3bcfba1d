"""Whose process is at the other end of a connection: Linux tells it for connections within one machine."""

from core.tcp_table import ESTABLISHED, tcp_sockets


def account_of(client: tuple[str, int] | None, server: tuple[str, int | None] | None) -> int | None:
    """Return the user id of the account that opened a connection; None where nobody can tell.

    Args:
        client: the far end's address and port.
        server: the near end's.
    """
    if client is None or server is None or server[1] is None:
        return None
    wanted = (client[1], server[1], ESTABLISHED)
    return next((each.uid for each in tcp_sockets() if (each.port, each.far_port, each.state) == wanted), None)
