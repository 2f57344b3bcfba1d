"""The stations of the data, from the topic to the marts: how much is there and how far each is behind.

Each station is asked on its own: one that does not answer says so in its row and leaves the others alone.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from contracts.entities import entity_names, readable_entities
from contracts.model import Entity
from control.catching_up import lake_ends, left_out
from control.offsets import behind, ends_and_rate, held_back
from control.roles import dsn
from core.errors import TieoutError
from core.lake import Lake
from core.layout import Layout
from core.parts import Parts
from core.settings import parse_settings
from spark_streaming.names import prefix

Station = dict[str, Any]


def read_stations(layout: Layout, settings: Mapping[str, str]) -> list[Station]:
    """Return a row a station: name, count, lag_seconds and its own particulars; `error` where it does not answer.

    Stations of one entity have `entity`; the names of those that are not of payments begin with it.
    """

    def lake() -> Lake:
        return Lake.of(parse_settings(settings, layout), layout)

    by_entity: dict[str, Callable[[Entity], Station]] = {
        "topic": lambda entity: _topic(entity, settings),
        "stream": lambda entity: _stream(entity, lake(), layout, settings),
        "bronze": lambda entity: {"count": lake().table(entity.bronze).count()},
        "dead letters": lambda entity: _dead_letters(entity, lake(), settings),
        "silver": lambda entity: _query(settings, SILVER, entity),
        "marts": lambda entity: _query(settings, MARTS.format(fact=entity.fact)),
    }
    asked: dict[str, Callable[[], Station]] = {
        "event to gold": lambda: _delay(settings),
        "proof": lambda: _proof(settings),
        "live": lambda: _live(settings),
    }
    parts = Parts(entity_names())
    entities = readable_entities(parts)
    found = [
        _answer(prefix(entity) + name, partial(ask, entity)) | {"entity": entity.name}
        for name, ask in by_entity.items()
        for entity in entities
    ]
    found += [_blank("contract") | {"entity": name, "error": error.what} for name, error in parts.failed.items()]
    return found + [_answer(name, ask) for name, ask in asked.items()]


def _blank(name: str) -> Station:
    return {"name": name, "count": None, "lag_seconds": None}


def _answer(name: str, ask: Callable[[], Station]) -> Station:
    blank = _blank(name)
    try:
        return blank | ask()
    except TieoutError as error:
        return blank | {"error": error.what}
    except Exception as error:  # a broken station is a finding, never a crash of the command that looks
        said = str(error).strip().splitlines()
        return blank | {"error": said[0] if said else type(error).__name__}


def _topic(entity: Entity, settings: Mapping[str, str]) -> Station:
    ends, rate = ends_and_rate(settings, entity.topic.name)
    return {"count": sum(ends.values()), "events_per_second": round(rate, 1), "offsets": ends}


def _stream(entity: Entity, lake: Lake, layout: Layout, settings: Mapping[str, str]) -> Station:
    """Return how far the stream has got; an entity that it does not serve is an error of the station."""
    from warehouse.delta_log import committed_at

    ends, held = held_back(settings, entity.topic.name)
    reached, bronze = lake_ends(lake, entity), lake.table(entity.bronze)
    left = behind(ends, reached)
    newest = bronze.newest_version() if left else None
    waited = None if newest is None else datetime.now(UTC) - committed_at(bronze, newest)
    lag = (None if waited is None else round(waited.total_seconds())) if left else 0
    waiting = {"offsets_in_open_transactions": held} if held else {}
    failed = left_out(layout).get(entity.name)
    refused = {"error": f"not served: {failed.what} Next: {failed.next}"} if failed else {}
    return {"count": sum(reached.values()), "lag_seconds": lag, "events_behind": left, **waiting, **refused}


def _dead_letters(entity: Entity, lake: Lake, settings: Mapping[str, str]) -> Station:
    import psycopg

    with psycopg.connect(dsn(settings, "dbt")) as connection:
        connection.execute("set statement_timeout = '5s'")
        reasons = connection.execute(TOP_REASONS, [entity.name]).fetchall()
    return {"count": lake.table(entity.dead_letters).count(), "top_reasons": dict(reasons)}


TOP_REASONS = """\
select reason, count(*)
from raw.dead_letters join metadata.load_audit using (load_id) cross join unnest(reasons) as reason
where entity = %s
group by reason order by count(*) desc, reason limit 3
"""

SILVER = """\
select coalesce(sum(rows_loaded), 0)::bigint as count,
    extract(epoch from now() - max(finished_at) filter (where status = 'SUCCESS'))::bigint as lag_seconds,
    max(load_id) as last_load,
    (select status from metadata.load_audit where entity = %(entity)s order by load_id desc limit 1) as last_status
from metadata.load_audit where entity = %(entity)s
"""

# The newest fact by day first: a fact is in the order of its days.
MARTS = """\
select (select count(*) from {fact})::bigint as count,
    extract(epoch from now() - max(known_at))::bigint as lag_seconds,
    max(occurred_at) as newest_fact
from {fact}
where occurred_on >= (select max(occurred_on) - 1 from {fact})
"""


PROOF = """\
with newest as (
    select distinct on (entity) entity, status from metadata.load_audit
    where status <> 'RUNNING' and error_code is distinct from 'TABLE_ACCEPTED' order by entity, load_id desc
)
select count(*)::bigint as count, extract(epoch from now() - max(checked_at))::bigint as lag_seconds,
    count(*) filter (where verdict = 'DIFFERENT')::bigint as different,
    string_agg(coalesce(scope ->> 'entity', 'transactions'), ', ') filter (where scope ? 'cannot_be_proven')
        as not_proven,
    (select string_agg(entity, ', ') from newest where status = 'FAILED') as failed_loads,
    (select min(status) from newest) as last_load,
    (select status from metadata.builds where status <> 'RUNNING' order by started_at desc limit 1) as last_build
from metadata.proof where proof_id = (select proof_id from metadata.proof order by checked_at desc limit 1)
"""


# Written by each build at its end: from an event's arrival at the broker to tested marts.
DELAY = """\
select coalesce(sum(events), 0)::bigint as count, (array_agg(p95 order by finished_at desc))[1]::float as last_p95,
    (array_agg(p50 order by finished_at desc))[1]::float as last_p50, max(p95)::float as worst_p95
from (
    select events, delay_p50_seconds as p50, delay_p95_seconds as p95, finished_at from metadata.builds
    where status = 'SUCCESS' and events > 0 order by started_at desc limit 10
) as last_builds
"""


def _delay(settings: Mapping[str, str]) -> Station:
    """Return how long events took to the marts in the last ten builds that brought any; behind: the newest's p95."""
    row = _query(settings, DELAY)
    if not row.get("count"):
        return {"count": 0, "state": "no build has brought events yet"}
    p95 = row.pop("last_p95")
    return {
        "count": row["count"],
        "lag_seconds": round(p95),
        "p50_seconds": row["last_p50"],
        "p95_seconds": p95,
        "worst_p95_seconds": row["worst_p95"],
        "builds": "last 10",
    }


def _proof(settings: Mapping[str, str]) -> Station:
    """Return how the newest proof stands; a difference, a failed load or a failed build is an error of the station."""
    row = _query(settings, PROOF)
    not_proven, failed_loads = row.pop("not_proven", None), row.pop("failed_loads", None)
    wrong = {
        f"{row.get('different')} equations are DIFFERENT: ./scripts/tieout proof": row.get("different"),
        f"{not_proven} cannot be proven: ./scripts/tieout proof": not_proven,
        f"the last load of {failed_loads} FAILED: ./scripts/tieout load": failed_loads,
        "the last build FAILED": row.get("last_build") == "FAILED",
    }
    said = [words for words, is_so in wrong.items() if is_so]
    return row | ({"error": "; ".join(said)} if said else {})


LIVE = """\
select coalesce(sum(next_offset), 0)::bigint as count, extract(epoch from now() - max(arrived_at))::bigint as newest,
    (select verdict from live.checks order by checked_at desc limit 1) as last_check,
    (select count(*) from live.set_aside)::bigint as set_aside,
    (select count(*) from live.alerts where arrived_at > now() - interval '1 hour')::bigint as alerts_of_an_hour
from live.positions
"""


def _live(settings: Mapping[str, str]) -> Station:
    """Return how far the live view has counted; totals that are not gold's are an error of the station."""
    row = _query(settings, LIVE, role="reader")
    row["lag_seconds"] = row.pop("newest")
    different = "totals and gold differ: ./scripts/tieout live --check"
    return row | ({"error": different} if row["last_check"] == "DIFFERENT" else {})


def _query(settings: Mapping[str, str], query: str, entity: Entity | None = None, *, role: str = "dbt") -> Station:
    import psycopg
    from psycopg.rows import dict_row

    with psycopg.connect(dsn(settings, role), row_factory=dict_row) as connection:
        connection.execute("set statement_timeout = '5s'")
        try:
            row = connection.execute(query.encode(), {"entity": entity.name} if entity else None).fetchone() or {}
        except psycopg.errors.UndefinedTable:
            return {"count": 0, "state": "not built yet"}
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
