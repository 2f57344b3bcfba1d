"""What is no longer needed goes, a bounded piece at a time, so that no batch has to wait for it long."""

from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from core.settings import Settings

Connection = psycopg.Connection[Any]

MOST_ROWS = 5_000

# Only what silver has may be forgotten: a later event of such a payment finds it there.
_PAYMENTS = f"""
delete from live.payments where ctid in (
    select p.ctid from live.payments p
    where p.arrived_at < now() - %(hours)s * interval '1 hour'
        and p.status_arrived_at < now() - %(hours)s * interval '1 hour'
        and (p.topic_id <> %(topic)s
            or p."offset" < coalesce((%(ends)s::jsonb ->> p.partition::text)::bigint, 0))
        and exists (select from raw.transactions t where t.transaction_id = p.transaction_id and t.status = p.status)
    order by p.arrived_at limit {MOST_ROWS}
)
"""  # noqa: S608  (a number of this module)
_LOADED = """
select o.partition, max(o.end_offset) from metadata.load_offsets o join metadata.load_audit a using (load_id)
where a.status = 'SUCCESS' and o.topic_id = %s group by 1
"""
_SECONDS = "delete from live.{table} where second < now() - %s * interval '1 second'"
_ALERTS = """
delete from live.alerts where published_at is not null and arrived_at < now() - %s * interval '1 day'
"""
_SET_ASIDE = "delete from live.set_aside where set_aside_at < now() - %s * interval '1 day'"
# A copy of a letter comes while its redrive is finished, or never.
_REDRIVEN = "delete from live.redriven where arrived_at < now() - interval '30 days'"


def expire(connection: Connection, settings: Settings, topic_id: str) -> None:
    """Delete what is older than the settings say; one transaction, a bounded number of payments."""
    with connection.transaction():
        ends = dict(connection.execute(_LOADED, [topic_id]).fetchall())
        hours = settings.live_keep_payments_hours
        connection.execute(_PAYMENTS, {"hours": hours, "topic": topic_id, "ends": Jsonb(ends)})
        for table in ("seconds", "arrivals"):
            connection.execute(_SECONDS.format(table=table).encode(), [settings.live_keep_seconds])
        connection.execute(_ALERTS, [settings.live_keep_alerts_days])
        connection.execute(_SET_ASIDE, [settings.live_keep_alerts_days])
        connection.execute(_REDRIVEN)
