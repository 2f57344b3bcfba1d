"""What a build will do: which loads and days it takes, and which models it computes anew. Fixed before dbt begins."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from transformation.connection import Connection

Days = tuple[tuple[date, date], ...]

# A lookback computes three days again and has never found what the loads had not: it is a net below the net, and an
# hour is often enough for that.
LOOKBACK_DAYS = 3
LOOKBACK_EVERY = "1 hour"
MANY_ROWS = 20_000


@dataclass(frozen=True)
class BuildRequest:
    """What a build is asked for, in addition to the new loads.

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
        with_seeds: whether seeds are read from their files.
        loads: the loads that it processes, fixed.
        days: the ranges of days that it computes again.
    """

    build_id: uuid.UUID
    full_refresh: bool
    with_seeds: bool
    loads: tuple[int, ...]
    days: tuple[tuple[str, str], ...]


def open_build(db: Connection, build_id: uuid.UUID, project_hash: str, request: BuildRequest) -> Plan | None:
    """Write the build's row and fix its loads: those not processed yet, and those of builds that failed since.

    A failed build may have merged its loads and stopped at a test: they are merged again, which changes nothing, and
    tested again. The days that it was to compute again come along too. A changed project is built also without news.

    Returns:
        The plan, or None when there is nothing to do.
    """
    with db.transaction():
        last = db.execute(
            "select started_at, project_hash from metadata.builds where status = 'SUCCESS'"
            " order by started_at desc limit 1"
        ).fetchone() or (None, None)
        since = db.execute(
            "select count(*), count(*) filter (where project_hash <> %s), coalesce(range_agg(days), '{}')::text"
            " from metadata.builds where %s::timestamptz is null or started_at > %s",
            (project_hash, last[0], last[0]),
        ).fetchone() or (0, 0, "{}")
        changed = last[1] != project_hash or bool(since[1])
        full = request.full_refresh or last[0] is None or _a_mart_is_gone(db) or _is_mostly_new(db)
        looks_back = "{}" if full else _lookback(db, request)
        days = "{}" if full else _joined(db, request.days, since[2])
        db.execute(
            "insert into metadata.builds (build_id, full_refresh, lookback, project_hash, run_id, days)"
            " values (%s, %s, %s, %s, %s, %s::datemultirange + %s::datemultirange)",
            (build_id, full, full or looks_back != "{}", project_hash, request.run_id, looks_back, days),
        )
        loads = _fix_loads(db, build_id, last[0])
        if loads or full or changed or since[0] or days != "{}" or request.lookback_days:
            return Plan(build_id, full, full or changed, loads, _days_of(db, build_id))
        raise psycopg.Rollback
    return None


def fix_models(db: Connection, plan: Plan, hashes: Mapping[str, str]) -> tuple[str, ...]:
    """Write down which stored models this build computes anew, and return their names.

    Those are all in a full refresh. Otherwise those whose stored rows were made by other code than today's: a model
    notes its hash in the transaction that makes its rows (`record_model` in transformation/macros/record.sql).

    Args:
        db: holding the lock.
        plan: the build.
        hashes: of each stored model, by its name.
    """
    rows = db.execute(
        """
        insert into metadata.build_models (build_id, model, hash, computed_anew)
        select %s, given.model, given.hash, %s or known.hash is distinct from given.hash
        from unnest(%s::text[], %s::text[]) as given (model, hash)
        left join lateral (
            select hash from metadata.build_models as built
            where built.model = given.model and built_at is not null order by built_at desc limit 1
        ) as known on true
        returning model, computed_anew
        """,
        (plan.build_id, plan.full_refresh, list(hashes), list(hashes.values())),
    ).fetchall()
    return tuple(sorted(model for model, computed_anew in rows if computed_anew))


def _days_of(db: Connection, build_id: uuid.UUID) -> tuple[tuple[str, str], ...]:
    rows = db.execute(
        "select lower(span)::text, (upper(span) - 1)::text from metadata.builds, unnest(days) as span"
        " where build_id = %s order by span",
        (build_id,),
    ).fetchall()
    return tuple((first, last) for first, last in rows)


def _lookback(db: Connection, request: BuildRequest) -> str:
    """Return the days of this build's lookback, empty where none is due. They hang on the data's newest day."""
    due = db.execute(
        "select not exists (select from metadata.builds where status = 'SUCCESS' and lookback"
        " and started_at > clock_timestamp() - %s::interval)",
        (LOOKBACK_EVERY,),
    ).fetchone()
    back = request.lookback_days if request.lookback_days is not None else LOOKBACK_DAYS if due and due[0] else 0
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
        " where t.book = 'NEW' and a.status = 'SUCCESS' and a.entity = 'transactions'"
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
