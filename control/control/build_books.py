"""The books of builds in the warehouse: which loads and days a build processes, what it built, how it ended."""

import time
import uuid
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from control.build_dbt import APPLICATION
from core.errors import TieoutError

Connection = psycopg.Connection[TupleRow]
Days = tuple[tuple[date, date], ...]

# A lookback computes three days again and has never found what the loads had not: it is a net below the net, and an
# hour is often enough for that.
LOOKBACK_DAYS = 3
LOOKBACK_EVERY = "1 hour"
MANY_ROWS = 20_000
KEEP_CHANGES = "7 days"
GOOD = ("success", "pass", "warn")


@dataclass(frozen=True)
class Wish:
    """What a build is asked for beside the new loads.

    Attributes:
        full_refresh: compute the marts anew from all loads.
        days: business days, first and last of each range, to compute again.
        lookback_days: so many days before the fact's newest one as well; None: three, once an hour.
        run_id: the orchestrated run that asks.
    """

    full_refresh: bool = False
    days: Days = ()
    lookback_days: int | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class Plan:
    """What a build will do.

    Attributes:
        build_id: the build.
        full_refresh: whether the marts are computed anew from all loads.
        loads: the loads that it processes, fixed.
        days: the ranges of days that it computes again.
    """

    build_id: uuid.UUID
    full_refresh: bool
    loads: tuple[int, ...]
    days: tuple[tuple[str, str], ...] = field(default=())


def clear_leftovers(db: Connection, keep: uuid.UUID | None = None, seconds: float = 30) -> None:
    """End what a killed build left: its statements in the database, and its row that still says RUNNING.

    Args:
        db: for the books, holding the lock.
        keep: a build that goes on; its statements end all the same.
        seconds: patience.

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
        " where status = 'RUNNING' and build_id is distinct from %s",
        (keep,),
    )


def open_build(db: Connection, build_id: uuid.UUID, project_hash: str, wish: Wish) -> Plan | None:
    """Write the build's row and fix its loads: those not processed yet, and those of builds that failed since.

    A failed build may have merged its loads and stopped at a test: they are merged again, which changes nothing, and
    tested again. The days that it was to compute again come along too.

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
            "select count(*), count(*) filter (where project_hash <> %s), coalesce(range_agg(days), '{}')::text"
            " from metadata.builds where %s::timestamptz is null or started_at > %s",
            (project_hash, last and last[0], last and last[0]),
        ).fetchone() or (0, 0, "{}")
        if last is not None and not wish.full_refresh and (last[1] != project_hash or since[1]):
            raise TieoutError(
                "the models, seeds or macros have changed since the marts were built.",
                "the marts are as they were.",
                "./scripts/tieout build --full-refresh",
            )
        full_refresh = wish.full_refresh or last is None or _a_mart_is_gone(db) or _is_mostly_new(db)
        looks_back, days = ("{}", "{}") if full_refresh else (_lookback(db, wish), _joined(db, wish.days, since[2]))
        db.execute(
            "insert into metadata.builds (build_id, full_refresh, lookback, project_hash, run_id, days)"
            " values (%s, %s, %s, %s, %s, %s::datemultirange + %s::datemultirange)",
            (build_id, full_refresh, full_refresh or looks_back != "{}", project_hash, wish.run_id, looks_back, days),
        )
        loads = _fix_loads(db, build_id, last and last[0])
        if loads or full_refresh or since[0] or days != "{}" or wish.lookback_days:
            plan = read_plan(db, build_id)
        else:
            raise psycopg.Rollback
    return plan


def read_plan(db: Connection, build_id: uuid.UUID) -> Plan | None:
    """Return what an open build will do; None where there is no such build, or it is over."""
    row = db.execute(
        "select full_refresh,"
        " array(select load_id from metadata.build_loads l where l.build_id = b.build_id order by load_id),"
        " array(select array[lower(span)::text, (upper(span) - 1)::text] from unnest(days) as span)"
        " from metadata.builds b where build_id = %s and status = 'RUNNING'",
        (build_id,),
    ).fetchone()
    if row is None:
        return None
    return Plan(build_id, row[0], tuple(row[1]), tuple((first, last) for first, last in row[2]))


def _lookback(db: Connection, wish: Wish) -> str:
    """Return the days of this build's lookback, empty where none is due. They hang on the data's newest day."""
    due = db.execute(
        "select not exists (select from metadata.builds where status = 'SUCCESS' and lookback"
        " and started_at > clock_timestamp() - %s::interval)",
        (LOOKBACK_EVERY,),
    ).fetchone()
    back = wish.lookback_days if wish.lookback_days is not None else LOOKBACK_DAYS if due and due[0] else 0
    if back <= 0:
        return "{}"
    row = db.execute(
        "select coalesce(datemultirange(daterange(max(occurred_on) - %s, max(occurred_on), '[]')), '{}')::text"
        " from marts.fact_transactions",
        (back,),
    ).fetchone()
    return str(row[0]) if row else "{}"


def _joined(db: Connection, days: Days, more: str) -> str:
    ranges = "{" + ",".join(f"[{first},{last}]" for first, last in days) + "}"
    row = db.execute("select (%s::datemultirange + %s::datemultirange)::text", (ranges, more)).fetchone()
    return str(row[0]) if row else "{}"


def _a_mart_is_gone(db: Connection) -> bool:
    """Say whether a mart that once applied changes is no longer there."""
    row = db.execute(
        "select exists (select from metadata.consumer_watermarks"
        " where to_regclass('marts.' || consumer) is null and to_regclass('intermediate.' || consumer) is null)"
    ).fetchone()
    return bool(row and row[0])


def _is_mostly_new(db: Connection) -> bool:
    """Say whether the loads that wait hold at least half as many rows as the fact, by the planner's own estimate.

    Merging row by row is for what is small beside the fact: from here on computing it anew is quicker. A build of
    33,433 rows into an empty fact took 45 s merged and 6 s anew (2 cores, November 2026).
    """
    waiting, built = db.execute(
        "select coalesce(sum(t.count), 0),"
        " coalesce((select greatest(reltuples, 0) from pg_class where oid = to_regclass('marts.fact_transactions')), 0)"
        " from metadata.load_audit a inner join metadata.load_totals t using (load_id)"
        " where t.book = 'NEW' and a.status = 'SUCCESS'"
        " and not exists (select from metadata.processed_loads p where p.load_id = a.load_id)"
    ).fetchone() or (0, 0)
    return bool(waiting >= MANY_ROWS and waiting * 2 >= built)


def _fix_loads(db: Connection, build_id: uuid.UUID, last_success: Any) -> tuple[int, ...]:
    """Fix the build's loads; those into which a backfill put rows back are merged again."""
    rows = db.execute(
        """
        insert into metadata.build_loads (build_id, load_id)
        select %(build)s, load_id from metadata.load_audit as audit
        where status = 'SUCCESS'
            and not exists (select from metadata.processed_loads as done where done.load_id = audit.load_id)
        union
        select %(build)s, load_id from metadata.build_loads inner join metadata.builds using (build_id)
        where status = 'FAILED' and (%(last)s::timestamptz is null or started_at > %(last)s)
        union
        select %(build)s, unnest(restored_loads) from metadata.backfill_days where built_by is null
        returning load_id
        """,
        {"build": build_id, "last": last_success},
    ).fetchall()
    return tuple(sorted(row[0] for row in rows))


def delay_of(db: Connection, build_id: uuid.UUID) -> tuple[int, float, float] | None:
    """Return how many events a good build brought, and the seconds that half and 95 of 100 of them took; None: none."""
    row = db.execute(
        "select events, delay_p50_seconds::float, delay_p95_seconds::float from metadata.builds"
        " where build_id = %s and events > 0",
        (build_id,),
    ).fetchone()
    return (row[0], row[1], row[2]) if row else None


def not_built(db: Connection, build_id: uuid.UUID) -> list[str]:
    """Return what keeps a build from being a success: models and tests that it lacks, or that failed."""
    rows = db.execute(
        "select node, status from metadata.build_nodes where build_id = %s order by status <> all(%s) desc, node",
        (build_id, list(GOOD)),
    ).fetchall()
    if not rows:
        return ["no dbt has run for it"]
    wrong = [(node.split(".")[2], status) for node, status in rows if status not in GOOD]
    failed = [f"{name}: {status}" for name, status in wrong if status != "expected"]
    return failed or [f"{name} was not built" for name, _ in wrong]


def close_build(db: Connection, build_id: uuid.UUID, error: str | None) -> None:
    """Write how the build ended; after a success also how late its events were, and forget what is not needed."""
    with db.transaction():
        closed = db.execute(
            "update metadata.builds set status = %s, error = %s, finished_at = clock_timestamp(),"
            " epoch = (select epoch from metadata.consumer_watermarks where consumer = 'fact_transactions')"
            " where build_id = %s and status = 'RUNNING'",
            ("FAILED" if error else "SUCCESS", error, build_id),
        ).rowcount
        if error is None and closed:
            _write_delay(db, build_id)
            _forget(db, build_id)


def _write_delay(db: Connection, build_id: uuid.UUID) -> None:
    """Write how long events took from their arrival at the broker to this build's end: those that no good build had."""
    db.execute(
        """
        update metadata.builds as b
        set events = d.events, delay_p50_seconds = d.delays[1], delay_p95_seconds = d.delays[2]
        from (
            select count(*) as events, percentile_disc(array[0.5, 0.95]) within group (
                order by extract(epoch from o.finished_at - t.known_at)::numeric(12, 3)) as delays
            from metadata.builds as o
            inner join metadata.build_loads as l on l.build_id = o.build_id
            inner join metadata.processed_loads as p on p.load_id = l.load_id
            inner join metadata.builds as f on f.build_id = p.build_id
            inner join raw.transactions as t on t.load_id = l.load_id
            where o.build_id = %(build)s and (f.build_id = o.build_id or f.status = 'FAILED')
        ) as d
        where b.build_id = %(build)s
        """,
        {"build": build_id},
    )


def _forget(db: Connection, build_id: uuid.UUID) -> None:
    db.execute(
        "update metadata.backfill_days set built_by = b.build_id from metadata.builds as b"
        " where built_by is null and b.build_id = %s and done_at < b.started_at",
        (build_id,),
    )
    db.execute(
        "delete from metadata.build_nodes where build_id <> %s",
        (build_id,),
    )
    db.execute(
        "delete from metadata.fact_changes where changed_at < clock_timestamp() - %s::interval"
        " and seq <= (select min(seq) from metadata.consumer_watermarks)"
        " and exists (select from metadata.builds where build_id = %s and lookback)",
        (KEEP_CHANGES, build_id),
    )
