# ruff: noqa: S608  (names and conditions come from the contract)
"""What silver says of one delivered event, as SQL over its columns: broken rules, hashes, feed, time of its status.

Loader and live view run the same text in DuckDB. Rules and hashes run in PostgreSQL too.
"""

from collections.abc import Container

from contracts.control_total import LONGEST_RUN, NO_FEED
from contracts.model import Entity

# The event is numbered within a feed. Other events are the feed (none), or (none refunds).
HAS_FEED = (
    f"(run is not null and seq >= 1 and length(run) between 1 and {LONGEST_RUN} and run <> '{NO_FEED}' "
    "and not starts_with(run, '(none '))"
)
# Which time a status counts from: the one that header status_at claims, where it is neither before the payment nor more
# than a day after the arrival; else the arrival. '1 day' is 24 hours.
STATUS_TIME = (
    "case when status_at between occurred_at and arrived_at + interval '1 day' then status_at else arrived_at end"
)


def event_rules(entity: Entity) -> dict[str, str]:
    """Return the condition of each rule that looks at one event, by reason code."""
    return {rule.code: rule.sql for rule in entity.rules if rule.kind == "invalid" and rule.sql}


def reasons_sql(entity: Entity) -> str:
    """Return an expression for all broken rules of an event, comma-separated; empty when it passes.

    A condition that is NULL counts as broken.
    """
    cases = [
        f"case when coalesce({sql}, false) then null else '{code}' end" for code, sql in event_rules(entity).items()
    ]
    return f"concat_ws(',', {', '.join(cases)})"


def _canonical(name: str, kind: str) -> str:
    """Return a field's one text form, NULL where it is null.

    The timestamp is its instant in microseconds: written with another offset it is the same one.
    """
    if kind == "decimal":
        return f"cast(cast({name} as decimal(20,4)) as varchar)"
    if kind == "timestamp":
        micros = f"cast(extract(epoch from date_trunc('second', {name})) as bigint)"
        fraction = f"cast(extract(microseconds from {name}) as bigint) % 1000000"
        return f"concat({micros}, '.', {fraction})"
    return f"cast({name} as varchar)"


def _part(name: str, kind: str) -> str:
    """Return a field's length and text; length first, so that no two lists of fields look the same."""
    text = _canonical(name, kind)
    if kind == "timestamp":
        return f"concat(length({text}), ':', {text})"
    return f"coalesce(cast(length({text}) as varchar) || ':' || {text}, '-')"


def identity_sql(entity: Entity) -> str:
    """Return the expression whose md5 is identity_hash: of the fields that never change."""
    return " || ".join(_part(field.stored_as, field.type) for field in entity.identity_fields)


def status_sql(entity: Entity) -> str:
    """Return the expression that, behind the identity, makes the text whose md5 is content_hash."""
    return " || ".join(_part(field.stored_as, field.type) for field in entity.status_fields)


def unhashed_sql(entity: Entity, there: Container[str] | None = None) -> str:
    """Return an expression for what no hash holds: the zone that the time is written in, and optional fields.

    Args:
        entity: the fields.
        there: the columns that are there; another one is NULL. None: all are.
    """
    parts = [
        _part(field.stored_as, field.type) if there is None or field.stored_as in there else "'-'"
        for field in entity.optional_fields
    ]
    return " || ".join(["cast(utc_offset_minutes as varchar)", *parts])


def judged_sql(entity: Entity, where: str = "true") -> str:
    """Return the query of the delivered events with what silver says of each.

    It reads `delivered`, one row an event: the contract's columns, utc_offset_minutes, and of the delivery status_at
    and arrived_at. It adds reasons, the broken rules, comma-separated; identity_hash and content_hash; known_at, the
    arrival; claimed_at, the header's time. Its status_at is the time from which the status counts.

    Args:
        entity: the fields and rules.
        where: which of them; the others are not judged, which a condition around the query could not spare.
    """
    return f"""
        select * exclude (identity, state_of) replace ({STATUS_TIME} as status_at),
            arrived_at as known_at, unhex(md5(identity || state_of)) as content_hash,
            unhex(md5(identity)) as identity_hash
        from (
            select *, status_at as claimed_at, {identity_sql(entity)} as identity, {status_sql(entity)} as state_of,
                {reasons_sql(entity)} as reasons
            from delivered where {where}
        )
    """
