"""Whose process is at the other end of a connection: Linux tells it for connections within one machine."""

from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


def account_of(client: tuple[str, int] | None, server: tuple[str, int | None] | None) -> int | None:
    """Return the user id of the account that opened a connection; None where nobody can tell.

    Args:
        client: the far end's address and port.
        server: the near end's.
    """
    if client is None or server is None or server[1] is None:
        return None
    near, far = f":{server[1]:04X}", f":{client[1]:04X}"
    for table in TABLES:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            # number, local address, remote address, state, queues, timer, retransmissions, user id
            fields = line.split()
            if fields[1].endswith(far) and fields[2].endswith(near) and fields[3] == "01":
                return int(fields[7])
    return None
