"""Niceness that reaches into the database: what gives way there too.

PostgreSQL does a session's work in a process of its own, which knows nothing of its client's niceness. Linux moreover
shares the processors among sessions first (autogroup, `man 7 sched`), and such a process is a session by itself: one
batch would weigh as much as all services together.
"""

import os
from typing import Any

# Made by control.roles in a database that is the platform's own; another server has none, and is not slowed down.
IS_THERE = "select to_regprocedure('control.give_way()') is not null"


def pass_on(connection: Any) -> None:
    """Let a session's server process give way where this process does; call it before anything else.

    Args:
        connection: of psycopg or psycopg2, open, with nothing under way.
    """
    if is_nice():
        give_way(connection)


def is_nice() -> bool:
    """Say whether this process gives way to others."""
    return os.getpriority(os.PRIO_PROCESS, 0) > 0


def gives_way(connection: Any) -> bool:
    """Say whether sessions that this process asks for should give way, and the database knows how to."""
    return is_nice() and bool(connection.execute(IS_THERE).fetchone()[0])


def give_way(connection: Any) -> None:
    """Let a session's server process give way; call it before anything else, on a connection as above."""
    with connection.cursor() as cursor:
        cursor.execute(IS_THERE)
        if cursor.fetchone()[0]:
            cursor.execute("select control.give_way()")
    connection.rollback()
