"""The lease of a lake elsewhere: a session of PostgreSQL that holds a lock says who should write.

The lock of a file (lock.py) tells the processes of one machine apart, and this one machines. What keeps another writer
out is the fence in the tables' own log, whoever holds the lease.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from core.locks import AdvisoryKey, advisory_holder, take_advisory
from core.settings import Settings
from spark_streaming.errors import LakeBusyError, LeaseLostError

if TYPE_CHECKING:
    import psycopg

PATIENCE_SECONDS = 20.0
LEFT = "nothing was read or written by this one."
# A machine that is gone says nothing: its session ends, and frees the lease, half a minute later.
_SESSION = """
set tcp_keepalives_idle = 15;
set tcp_keepalives_interval = 5;
set tcp_keepalives_count = 3
"""


class Lease:
    """The right to write, for as long as its session lives."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def require(self) -> None:
        """Return where the lease is still held; asked before each batch.

        Raises:
            LeaseLostError: its session is gone, and another writer may have begun.
        """
        import psycopg  # noqa: PLC0415  (only a lake elsewhere needs it)

        try:
            self._connection.execute("select 1")
        except psycopg.Error as error:
            raise LeaseLostError(
                f"The lease of the lake is lost: {_first_line(error)}.",
                "batches that were committed stay; none was begun without the lease.",
                "./scripts/tieout doctor; the stream takes the lease again as it starts",
            ) from None


@contextmanager
def hold(settings: Settings, *, patience: float = PATIENCE_SECONDS) -> Iterator[Lease | None]:
    """Hold the lease of the lake, where the lake is elsewhere; None where it is a folder of this machine.

    Args:
        patience: seconds to wait for a holder that is about to end.

    Raises:
        LakeBusyError: a writer on some machine holds it.
        LeaseLostError: the database does not answer.
        RefusalError: a pooler in between would lose the lease.
    """
    if settings.lake_url.startswith("file:"):
        yield None
        return
    with _session(settings) as connection:
        if not take_advisory(connection, AdvisoryKey.LAKE, patience):
            raise LakeBusyError(
                f"The lake has one writer, and another one holds its lease: "
                f"{advisory_holder(connection, AdvisoryKey.LAKE)}.",
                LEFT,
                "wait for that stream to end; where its machine is gone, the lease is free within a minute",
            )
        yield Lease(connection)


@contextmanager
def _session(settings: Settings) -> "Iterator[psycopg.Connection[Any]]":
    import psycopg  # noqa: PLC0415  (only a lake elsewhere needs it)
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415

    from core.pooler import open_session  # noqa: PLC0415

    name = f"tieout stream {os.getpid()} on {socket.gethostname()}"
    # A database that is gone without a word must not hold the stream up for ever.
    address = make_conninfo(settings.dsn("stream", application=name), tcp_user_timeout=10_000)
    try:
        connection = open_session(address)
        connection.execute(_SESSION)
    except psycopg.Error as error:
        raise LeaseLostError(
            f"The lease of the lake is not to be had: {_first_line(error)}.",
            LEFT,
            "./scripts/tieout doctor, then ./scripts/tieout stream",
        ) from None
    try:
        yield connection
    finally:
        connection.close()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].removesuffix(".")
