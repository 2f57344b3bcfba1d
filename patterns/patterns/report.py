"""`tieout patterns list` and `status`: what was detected, how far a watch is, what is wrong."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

from core.database_errors import DatabaseAwayError
from core.settings import Settings, load_settings
from core.text import shown
from patterns.ledger import LEFT, Connection, connection_of

_DETECTIONS = """
select detection_id, watch, pattern, action, merchant, customer, chunk, detected_at, holds, evidence
from patterns.detections_now
where (%(watch)s::text is null or watch = %(watch)s) and (%(pattern)s::text is null or pattern = %(pattern)s)
order by detected_at desc, sequence desc limit %(limit)s
"""
_STATUS = """
select w.name as watch, w.source, w.y_started_at, w.ended_at, w.weights_refused,
    coalesce(c.chunks, 0) as chunks, coalesce(c.rows, 0) as rows, coalesce(c.refused, 0) as refused_rows,
    coalesce(d.detections, '{}') as detections, coalesce(d.no_longer_true, 0) as no_longer_true,
    coalesce(f.files, 0) as files, coalesce(n.open_findings, '[]') as findings
from patterns.watches w
left join (select watch_id, count(*) as chunks, sum(rows)::bigint as rows, sum(refused)::bigint as refused
    from patterns.chunks group by watch_id) c using (watch_id)
left join (select watch_id, jsonb_object_agg(pattern, n) as detections, sum(ended)::bigint as no_longer_true from (
    select watch_id, pattern, count(*) as n, count(*) filter (where not holds) as ended
    from patterns.detections_now group by watch_id, pattern) p group by watch_id) d using (watch_id)
left join (select watch_id, count(*) as files from patterns.detection_files where put_at is not null
    group by watch_id) f using (watch_id)
left join (select watch_id, jsonb_agg(kind || ': ' || says order by found_at) as open_findings from patterns.findings
    where settled_at is null group by watch_id) n using (watch_id)
where %(watch)s::text is null or w.name = %(watch)s
order by w.watch_id
"""
_UNWEIGHTED = """
select watch, count(distinct customer) as customers from patterns.customers_without_weight group by watch
"""


def list_detections(
    watch: str | None, pattern: str | None, limit: int, settings: Settings | None = None
) -> list[dict[str, Any]]:
    """Return detections, the newest first.

    Raises:
        OutageError: the database is away.
    """
    return _asked(_DETECTIONS, {"watch": watch, "pattern": pattern, "limit": limit}, settings)


def read_status(watch: str | None, settings: Settings | None = None) -> list[dict[str, Any]]:
    """Return a row a watch.

    Raises:
        OutageError: the database is away.
    """
    unweighted = {row["watch"]: row["customers"] for row in _asked(_UNWEIGHTED, {}, settings)}
    found = _asked(_STATUS, {"watch": watch}, settings)
    return [each | {"customers_without_weight": unweighted.get(each["watch"], 0)} for each in found]


def status_of(connection: Connection, watch: str) -> dict[str, Any] | None:
    """Return the row of a watch; None where it has not begun."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_STATUS, {"watch": watch}).fetchone()


def _asked(query: str, values: dict[str, Any], settings: Settings | None) -> list[dict[str, Any]]:
    try:
        with (
            connection_of(settings or load_settings()) as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            return cursor.execute(query.encode(), values).fetchall()
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, LEFT) from None


def detections_as_text(found: list[dict[str, Any]]) -> str:
    """Return a line a detection."""
    if not found:
        return "no detections"
    return "\n".join(
        f"{each['detection_id']}  {each['detected_at']:%Y-%m-%d %H:%M:%S}  {each['pattern']} {each['action']:10}  "
        f"chunk {each['chunk']:5}  {shown(each['merchant']):14} {shown(each['customer']):14}"
        f"{'' if each['holds'] else '  true no longer'}"
        for each in found
    )


def status_as_text(found: list[dict[str, Any]]) -> str:
    """Return some lines a watch."""
    lines = list[str]()
    for each in found:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(each["detections"].items())) or "none"
        lines += [
            f"{shown(each['watch'])}: {shown(each['source'])}, since {each['y_started_at']:%Y-%m-%d %H:%M:%S} UTC"
            f"{', ended' if each['ended_at'] else ''}",
            f"  {each['chunks']} chunks, {each['rows']} rows, {each['refused_rows']} of them refused; "
            f"{each['customers_without_weight']} customers without a weight, {each['weights_refused']} rows of the "
            "weights refused",
            f"  detections: {counts}; {each['no_longer_true']} true no longer; {each['files']} files",
            *(f"  {shown(finding)}" for finding in each["findings"]),
        ]
    return "\n".join(lines) or "no watch was begun"
