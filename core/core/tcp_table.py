"""TCP sockets of this machine with the accounts that own them: Linux tells every account."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
ESTABLISHED, LISTENING = "01", "0A"


@dataclass(frozen=True)
class TcpSocket:
    """One end of a connection, or a socket that waits for connections.

    Attributes:
        port: its own port.
        far_port: the other end's, 0 where it waits.
        state: as the kernel writes it, such as ESTABLISHED or LISTENING.
        uid: the account that owns it.
    """

    port: int
    far_port: int
    state: str
    uid: int


def tcp_sockets() -> Iterator[TcpSocket]:
    """Yield every TCP socket of this machine; none where the system has no such tables."""
    for table in TABLES:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            # number, local address, remote address, state, queues, timer, retransmissions, user id
            fields = line.split()
            near, far = (int(fields[index].rpartition(":")[2], 16) for index in (1, 2))
            yield TcpSocket(near, far, fields[3], int(fields[7]))
