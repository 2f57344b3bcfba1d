"""The books of builds in the warehouse: who builds, which loads a build processes, how it ended."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg
from psycopg.rows import TupleRow

from contracts.errors import TieoutError
from control.build_dbt import APPLICATION

Connection = psycopg.Connection[TupleRow]

# Builds of this very process: a lock of ours that is not among them is left from a lost connection.
_building: set[uuid.UUID] = set()

# A holder says every 5 s that it lives; one that said nothing for a minute has lost the lock, wherever it runs. On
# this machine a dead process loses it at once.
HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
# A lookback reads three days again and has never found what the loads had not: it is a net below the net, and an
# hour is often enough for that.
LOOKBACK_EVERY = "1 hour"
MANY_ROWS = 20_000
KEEP_CHANGES = "7 days"
ADVISORY_KEY = 0x7469656F7562


@dataclass(frozen=True)
class Plan:
    """What a build will do.

    Attributes:
        build_id: the build.
        full_refresh: whether the marts are computed anew from all loads.
        loads: the loads that it processes, fixed.
    """

    build_id: uuid.UUID
    full_refresh: bool
    loads: tuple[int, ...]


def this_process() -> str:
    """Return the name under which this process holds the lock: host, pid and the moment that it began."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def is_surely_dead(holder: str, build_id: uuid.UUID) -> bool:
    """Say whether a lock is left over: its process on this machine is no more, or is this one and builds no more.

    A pid that was given away again counts as no more.
    """
    if holder == this_process():
        return build_id not in _building
    host, pid, begun = holder.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        return f"{psutil.Process(int(pid)).create_time():.2f}" != begun
    except psutil.NoSuchProcess:
        return True


@contextmanager
def hold_lock(db: Connection, dsn: str, build_id: uuid.UUID, on_loss: Callable[[], None]) -> Iterator[None]:
    """Hold the build lock, with a heartbeat on a connection of its own.

    Raises:
        TieoutError: another build holds it.
    """
    _take_lock(db, build_id)
    _building.add(build_id)
    over = threading.Event()
    heart = threading.Thread(target=_beat, args=(dsn, build_id, over, on_loss), daemon=True)
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join()
        _building.discard(build_id)
        if not db.broken:
            db.execute("delete from metadata.build_lock where build_id = %s", (build_id,))


def _take_lock(db: Connection, build_id: uuid.UUID) -> None:
    with db.transaction():
        db.execute("select pg_advisory_xact_lock(%s)", (ADVISORY_KEY,))
        held = db.execute(
            "select holder, extract(epoch from clock_timestamp() - heartbeat_at)::float, build_id"
            " from metadata.build_lock"
        ).fetchone()
        if held is not None and held[1] < STALE_SECONDS and not is_surely_dead(held[0], held[2]):
            raise TieoutError(
                f"another build is running: {held[0]}, last heard of {held[1]:.0f} s ago.",
                "this one did nothing.",
                "./scripts/tieout build, once that one is done",
            )
        db.execute("delete from metadata.build_lock")
        db.execute("insert into metadata.build_lock (build_id, holder) values (%s, %s)", (build_id, this_process()))


def _beat(dsn: str, build_id: uuid.UUID, over: threading.Event, on_loss: Callable[[], None]) -> None:
    heard = time.monotonic()
    while not over.wait(HEARTBEAT_SECONDS):
        try:
            with psycopg.connect(dsn, autocommit=True) as db:
                kept = db.execute(
                    "update metadata.build_lock set heartbeat_at = clock_timestamp() where build_id = %s", (build_id,)
                ).rowcount
            heard = time.monotonic() if kept else float("-inf")
        except psycopg.OperationalError:
            pass
        if time.monotonic() - heard > STALE_SECONDS / 2:
            on_loss()
            return


def clear_leftovers(db: Connection, seconds: float = 30) -> None:
    """End what a killed build left: its statements in the database, and its row that still says RUNNING.

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


def open_build(db: Connection, build_id: uuid.UUID, project_hash: str, full_refresh: bool) -> Plan | None:
    """Write the build's row and fix its loads: those not processed yet, and those of builds that failed since.

    A failed build may have merged its loads and stopped at a test: they are merged again, which changes nothing, and
    tested again.

    Returns:
        The plan, or None when there is nothing to do.

    Raises:
        TieoutError: the project computes something else than when the marts were built.
    """
    plan: Plan | None = None
    with db.transaction():
        last = db.execute(
            "select started_at, project_hash from metadata.builds where status = 'SUCCESS'"
            " order by started_at desc limit 1"
        ).fetchone()
        since = db.execute(
            "select count(*), count(*) filter (where project_hash <> %s) from metadata.builds"
            " where %s::timestamptz is null or started_at > %s",
            (project_hash, last and last[0], last and last[0]),
        ).fetchone() or (0, 0)
        if last is not None and not full_refresh and (last[1] != project_hash or since[1]):
            raise TieoutError(
                "the models, seeds or macros have changed since the marts were built.",
                "the marts are as they were.",
                "./scripts/tieout build --full-refresh",
            )
        full_refresh = full_refresh or last is None or _a_mart_is_gone(db) or _is_mostly_new(db)
        db.execute(
            "insert into metadata.builds (build_id, full_refresh, lookback, project_hash)"
            " select %s, %s, not exists (select from metadata.builds where status = 'SUCCESS' and lookback"
            " and started_at > clock_timestamp() - %s::interval), %s",
            (build_id, full_refresh, LOOKBACK_EVERY, project_hash),
        )
        loads = _fix_loads(db, build_id, last and last[0])
        plan = Plan(build_id, full_refresh, loads) if loads or full_refresh or since[0] else None
        if plan is None:
            raise psycopg.Rollback
    return plan


def _a_mart_is_gone(db: Connection) -> bool:
    """Say whether a mart that once applied changes is no longer there."""
    row = db.execute(
        "select exists (select from metadata.consumer_watermarks"
        " where to_regclass('marts.' || consumer) is null and to_regclass('intermediate.' || consumer) is null)"
    ).fetchone()
    return bool(row and row[0])


def _is_mostly_new(db: Connection) -> bool:
    """Say whether the loads that wait hold at least half as many rows as those that were built.

    Merging row by row is for what is small beside the fact: from here on computing it anew is quicker. A build of
    33,433 rows into an empty fact took 45 s merged and 6 s anew (2 cores, November 2026).
    """
    waiting, built = db.execute(
        "select coalesce(sum(count) filter (where p.load_id is null), 0),"
        " coalesce(sum(count) filter (where p.load_id is not null), 0)"
        " from metadata.load_totals t inner join metadata.load_audit a using (load_id)"
        " left join metadata.processed_loads p using (load_id) where t.book = 'NEW' and a.status = 'SUCCESS'"
    ).fetchone() or (0, 0)
    return bool(waiting >= MANY_ROWS and waiting * 2 >= built)


def _fix_loads(db: Connection, build_id: uuid.UUID, last_success: Any) -> tuple[int, ...]:
    rows = db.execute(
        """
        insert into metadata.build_loads (build_id, load_id)
        select %(build)s, load_id from metadata.load_audit as audit
        where status = 'SUCCESS'
            and not exists (select from metadata.processed_loads as done where done.load_id = audit.load_id)
        union
        select %(build)s, load_id from metadata.build_loads inner join metadata.builds using (build_id)
        where status = 'FAILED' and (%(last)s::timestamptz is null or started_at > %(last)s)
        returning load_id
        """,
        {"build": build_id, "last": last_success},
    ).fetchall()
    return tuple(sorted(row[0] for row in rows))


def close_build(db: Connection, build_id: uuid.UUID, error: str | None) -> None:
    """Write how the build ended; after a success also forget changes that every mart has applied."""
    with db.transaction():
        db.execute(
            "update metadata.builds set status = %s, error = %s, finished_at = clock_timestamp(),"
            " epoch = (select epoch from metadata.consumer_watermarks where consumer = 'fact_transactions')"
            " where build_id = %s and status = 'RUNNING'",
            ("FAILED" if error else "SUCCESS", error, build_id),
        )
        if error is None:
            db.execute(
                "delete from metadata.fact_changes where changed_at < clock_timestamp() - %s::interval"
                " and seq <= (select min(seq) from metadata.consumer_watermarks)"
                " and exists (select from metadata.builds where build_id = %s and lookback)",
                (KEEP_CHANGES, build_id),
            )
