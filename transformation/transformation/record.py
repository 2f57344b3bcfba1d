"""How a build ended, and how late its events were."""

import uuid

from transformation.connection import Connection

KEEP_CHANGES = "7 days"


def delay_of(db: Connection, build_id: uuid.UUID) -> tuple[int, float, float] | None:
    """Return how many events a good build brought, and the seconds that half and 95 of 100 of them took; None: none."""
    row = db.execute(
        "select events, delay_p50_seconds::float, delay_p95_seconds::float from metadata.builds"
        " where build_id = %s and events > 0",
        (build_id,),
    ).fetchone()
    return (row[0], row[1], row[2]) if row else None


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
    db.execute("delete from metadata.build_models where build_id <> %s", (build_id,))
    db.execute(
        "delete from metadata.fact_changes where changed_at < clock_timestamp() - %s::interval"
        " and seq <= (select min(seq) from metadata.consumer_watermarks)"
        " and exists (select from metadata.builds where build_id = %s and lookback)",
        (KEEP_CHANGES, build_id),
    )
