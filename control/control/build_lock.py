"""The lock of builds: one builds at a time. A process holds it by a heartbeat, an orchestrated run by a lease.

A run's build takes many processes, none of which lives as long as the build. So the run's name holds the lock, for 15
minutes from the last sign of work: a step of the run, or a dbt that begins or ends for it. While sessions of its dbt
are connected the lease does not end, however long a statement takes.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import psycopg
from psycopg.rows import TupleRow

from control.build_dbt import APPLICATION
from control.say import say
from core.errors import OutageError
from core.locks import AdvisoryKey, hold_advisory

Connection = psycopg.Connection[TupleRow]

# Builds of this very process: a lock of ours that is not among them is left from a lost connection.
_building: set[uuid.UUID] = set()

# A holder says every 5 s that it lives; one that said nothing for a minute has lost the lock, wherever it runs. On
# this machine a dead process loses it at once.
HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
LEASE_SECONDS = 15 * 60
WAITS_SAY_EVERY = 30.0
# Held for the moment in which the lock is taken: nobody needs it for longer.
MOMENT_SECONDS = 15.0


class BuildBusyError(OutageError):
    """Another build holds the lock."""


@dataclass(frozen=True)
class Holder:
    """Who has the lock.

    Attributes:
        name: host, pid and begin of a process; `run NAME` of a run.
        silent_seconds: since the last sign of life.
        run_id: the run, None for a process.
        is_alive: whether it may be robbed of the lock.
    """

    name: str
    build_id: uuid.UUID
    silent_seconds: float
    run_id: str | None
    is_alive: bool


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


def current_holder(db: Connection) -> Holder | None:
    """Return who has the lock, if anybody."""
    row = db.execute(
        "select holder, build_id, extract(epoch from clock_timestamp() - heartbeat_at)::float, run_id,"
        " coalesce(lease_until > clock_timestamp(), false)"
        " or exists (select from pg_stat_activity where application_name = %s and datname = current_database())"
        " from metadata.build_lock",
        (APPLICATION,),
    ).fetchone()
    if row is None:
        return None
    name, build_id, silent, run_id, is_leased = row
    alive = is_leased if run_id is not None else silent < STALE_SECONDS and not is_surely_dead(name, build_id)
    return Holder(name, build_id, silent, run_id, alive)


def _refused(holder: Holder) -> BuildBusyError:
    free = f", or ./scripts/tieout build --finish {holder.build_id} --failed REASON" if holder.run_id else ""
    return BuildBusyError(
        f"another build is running: {holder.name}, last heard of {holder.silent_seconds:.0f} s ago.",
        "this one did nothing.",
        f"./scripts/tieout build, once that one is done{free}",
    )


def _stuck(holder: str) -> BuildBusyError:
    return BuildBusyError(
        f"the lock of builds is being taken by another session: {holder}.",
        "this one did nothing.",
        "the same command again; end that session if it stays",
    )


@contextmanager
def hold_lock(
    db: Connection, dsn: str, build_id: uuid.UUID, *, on_loss: Callable[[], None], wait_seconds: float = 0
) -> Iterator[None]:
    """Hold the build lock for this process, with a heartbeat on a connection of its own.

    Args:
        db: for the books.
        dsn: for the heartbeat.
        build_id: the build.
        on_loss: called, from another thread, when the lock was lost.
        wait_seconds: how long to wait for another build that is alive.

    Raises:
        BuildBusyError: another build holds it for longer than that.
    """
    deadline, said = time.monotonic() + wait_seconds, float("-inf")
    while (holder := _try_take(db, build_id)) is not None:
        if time.monotonic() >= deadline:
            raise _refused(holder)
        if time.monotonic() - said >= WAITS_SAY_EVERY:
            say(f"  waiting for another build: {holder.name}")
            said = time.monotonic()
        time.sleep(0.5)
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
            release(db, build_id)


def _try_take(db: Connection, build_id: uuid.UUID) -> Holder | None:
    """Take the lock for this process; return who has it, where that fails."""
    with hold_advisory(db, AdvisoryKey.BUILD, MOMENT_SECONDS, _stuck), db.transaction():
        holder = current_holder(db)
        if holder is not None and holder.is_alive:
            return holder
        db.execute("delete from metadata.build_lock")
        db.execute("insert into metadata.build_lock (build_id, holder) values (%s, %s)", (build_id, this_process()))
    return None


def take_for_run(db: Connection, run_id: str) -> uuid.UUID:
    """Take the lock for a run, or renew the lease that it has; return the build that it is for.

    A run takes over from an earlier one: a pipeline has one run at a time, so that one is over.

    Raises:
        BuildBusyError: a process builds.
    """
    build_id = uuid.uuid4()
    with hold_advisory(db, AdvisoryKey.BUILD, MOMENT_SECONDS, _stuck), db.transaction():
        holder = current_holder(db)
        if holder is not None and holder.run_id is None and holder.is_alive:
            raise _refused(holder)
        if holder is not None and holder.run_id == run_id:
            build_id = holder.build_id
        db.execute("delete from metadata.build_lock")
        db.execute(
            "insert into metadata.build_lock (build_id, holder, run_id, lease_until)"
            " values (%s, %s, %s, clock_timestamp() + make_interval(secs => %s))",
            (build_id, f"run {run_id}", run_id, LEASE_SECONDS),
        )
    return build_id


def release(db: Connection, build_id: uuid.UUID) -> None:
    """Give the lock back, where it is still this build's."""
    db.execute("delete from metadata.build_lock where build_id = %s", (build_id,))


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
