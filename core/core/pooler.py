"""Whether a connection has a session of its own, or a pooler gives each transaction another one.

Locks, settings and prepared statements of a session are what loader, build, live view and stream rely on.
"""

import secrets
import select
from contextlib import closing
from typing import Any

import psycopg

from core.errors import RefusalError

SECONDS = 5.0
MEND = "set POSTGRES_HOST and POSTGRES_PORT in .env to the server itself, or pool_mode = session in the pooler"
_MARK = "tieout.session"
_READ = f"select current_setting('{_MARK}', true)"


def open_session(dsn: str) -> psycopg.Connection[Any]:
    """Return a connection in autocommit mode whose session is its own.

    Raises:
        RefusalError: a pooler in transaction or statement mode is in between.
        psycopg.OperationalError: the database is away, or refuses.
    """
    try:
        connection = psycopg.connect(dsn, autocommit=True)
    except psycopg.OperationalError as error:
        if "unsupported startup parameter" not in str(error):
            raise
        raise RefusalError(
            "PostgreSQL is behind a pooler that does not take the settings with which a session begins.",
            "nothing was read or written.",
            f"{MEND}, with ignore_startup_parameters = options",
        ) from None
    try:
        require_own_session(connection, dsn)
    except BaseException:
        connection.close()
        raise
    return connection


def require_own_session(connection: psycopg.Connection[Any], dsn: str) -> None:
    """Return where the connection's session outlives its transactions. Costs one question where there is no pooler.

    Args:
        connection: in autocommit mode, outside a transaction.
        dsn: its address, for a second connection where there may be a pooler.

    Raises:
        RefusalError: a pooler in transaction or statement mode is in between.
    """
    row = connection.execute("select pg_backend_pid()").fetchone()
    if row and row[0] == connection.info.backend_pid:
        return  # a pooler answers the client's login itself, with a number that it has made up
    if _is_shared(connection, dsn):
        info = connection.info
        raise RefusalError(
            f"PostgreSQL at {info.host}:{info.port} is behind a pooler that gives each transaction another session.",
            "nothing was read or written: locks would be lost, and settings would be another program's.",
            MEND,
        )


def _is_shared(connection: psycopg.Connection[Any], dsn: str) -> bool:
    """Mark the session, let another client begin a transaction, and look who has the mark."""
    mark = secrets.token_hex(8)
    connection.execute("select set_config(%s, %s, false)", [_MARK, mark])
    with closing(psycopg.connect(dsn, autocommit=True)) as other:
        try:
            if _first_answer(other, f"begin; {_READ}") == mark:
                return True
        except psycopg.OperationalError:  # a pooler in statement mode refuses to begin a transaction
            return True
        row = connection.execute(_READ).fetchone()
        return row is None or row[0] != mark


def _first_answer(connection: psycopg.Connection[Any], statements: str) -> str | None:
    """Return the value of the last statement; None when a pooler in session mode has no session left for it."""
    pgconn = connection.pgconn
    pgconn.send_query(statements.encode())
    value: bytes | None = None
    while select.select([pgconn.socket], [], [], SECONDS)[0]:
        pgconn.consume_input()
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                return value.decode() if value is not None else None
            if result.ntuples:
                value = result.get_value(0, 0)
    return None
