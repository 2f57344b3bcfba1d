"""One build at a time: an advisory lock of PostgreSQL, which ends with the session that holds it, also by kill -9."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import OutageError, TieoutError
from core.locks import AdvisoryKey, hold_advisory
from core.log import say
from transformation.connection import Connection
from transformation.dbt_process import APPLICATION


class BuildBusyError(OutageError):
    """Another build holds the lock."""


@contextmanager
def hold_build_lock(db: Connection, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the lock of builds for as long as this connection lives.

    Args:
        db: open in autocommit mode.
        wait_seconds: how long to wait for another build.

    Raises:
        BuildBusyError: another build holds it for longer than that.
    """

    def busy(holder: str) -> BuildBusyError:
        return BuildBusyError(
            f"another build is running: {_of_run(db)}{holder}.",
            "this one did nothing.",
            "the same command again, once that one is done; ./scripts/tieout build --wait 600 waits for it",
        )

    def on_wait(holder: str) -> None:
        say(f"  waiting up to {wait_seconds:.0f} s for another build: {_of_run(db)}{holder}")

    with hold_advisory(db, AdvisoryKey.BUILD, wait_seconds, busy, on_wait):
        yield


def _of_run(db: Connection) -> str:
    row = db.execute("select run_id from metadata.builds where status = 'RUNNING' and run_id is not null").fetchone()
    return f"run {row[0]}, " if row else ""


def clear_leftovers(db: Connection, seconds: float = 30) -> None:
    """End what a killed build left: its statements in the database, and its row that still says RUNNING.

    Args:
        db: the connection that holds the lock.
        seconds: how long a statement may take to end.

    Raises:
        TieoutError: a statement does not end.
    """
    leftovers = (
        "from pg_stat_activity where application_name = %s and usename = current_user"
        " and datname = current_database() and pid <> pg_backend_pid()"
    )
    deadline = time.monotonic() + seconds
    while db.execute(f"select count(pg_terminate_backend(pid)) {leftovers}", (APPLICATION,)).fetchone() != (0,):
        if time.monotonic() > deadline:
            raise TieoutError(
                f"a statement of a build that was killed does not end within {seconds:.0f} s.",
                "the marts are as that build left them.",
                "./scripts/tieout logs postgres",
            )
        time.sleep(0.1)
    db.execute(
        "update metadata.builds set status = 'FAILED', finished_at = clock_timestamp(), error = 'killed'"
        " where status = 'RUNNING'"
    )
