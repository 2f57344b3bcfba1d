"""Questions to the marts and the metadata, as the role that may only read."""

import threading
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

Row = dict[str, Any]


class UnreadableError(Exception):
    """A question has no answer now, for a reason that a visitor can be told.

    Args:
        what: why, in one sentence, without anything secret.
        next: what to do.
    """

    def __init__(self, what: str, next: str) -> None:
        super().__init__(what, next)
        self.what = what
        self.next = next


NOT_BUILT = ("This is not built yet.", "Run ./scripts/tieout build; after an update, ./scripts/start.sh first.")
TOO_LONG = ("The question took longer than 10 seconds and was given up.", "Choose fewer days, or take a filter away.")
AWAY = ("The warehouse does not answer.", "Run ./scripts/status.sh, then ./scripts/start.sh.")
NOT_ALLOWED = ("The role reader may not read this.", "Run ./scripts/start.sh, which gives it its rights.")
OTHER = ("The warehouse refused the question.", "Run ./scripts/tieout logs postgres.")


class Database:
    """One connection that is made again when it is lost; questions wait for each other."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Row] | None = None

    def rows(self, query: sql.Composed | str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """Return the rows of a question.

        Raises:
            UnreadableError: a table is missing, the database is away, or the question takes too long.
        """
        with self._lock:
            try:
                return self._ask(query, values)
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName):
                raise UnreadableError(*NOT_BUILT) from None
            except psycopg.errors.QueryCanceled:
                raise UnreadableError(*TOO_LONG) from None
            except psycopg.errors.InsufficientPrivilege:
                raise UnreadableError(*NOT_ALLOWED) from None
            except psycopg.OperationalError:
                raise UnreadableError(*AWAY) from None
            except (psycopg.Error, UnicodeEncodeError):  # the latter: a value from the address that is no text
                raise UnreadableError(*OTHER) from None

    def _ask(self, query: sql.Composed | str, values: Mapping[str, Any] | None) -> list[Row]:
        for last in (False, True):
            fresh = self._connection is None or self._connection.closed
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._dsn, autocommit=True, row_factory=dict_row)
            try:
                return self._connection.execute(query, values).fetchall()
            except psycopg.OperationalError:
                # The server was started anew since the last question: once more, on a new connection.
                if last or fresh or not self._connection.broken:
                    raise
                self._connection.close()
        raise AssertionError("unreachable")
