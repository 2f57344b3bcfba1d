# ruff: noqa: S608  (names and conditions come from the contract)
"""What silver says of one delivered event, as SQL over its columns: broken rules, hashes, feed, time of its status.

Loader and live view run the same text in DuckDB. Rules and hashes run in PostgreSQL too.
"""

from contracts.control_total import LONGEST_RUN, NO_FEED
from contracts.model import Contract

# What never changes between the statuses of a transaction is everything but these two.
STATUS_FIELDS = ("status", "failure_reason")
# The event is numbered within a feed. Other events are the feed (none).
HAS_FEED = f"(run is not null and seq >= 1 and length(run) between 1 and {LONGEST_RUN} and run <> '{NO_FEED}')"
# Which time a status counts from: the one that header status_at claims, where it is neither before the payment nor more
# than a day after the arrival; else the arrival. '1 day' is 24 hours.
STATUS_TIME = (
    "case when status_at between occurred_at and arrived_at + interval '1 day' then status_at else arrived_at end"
)


def event_rules(contract: Contract) -> dict[str, str]:
    """Return the condition of each rule that looks at one event, by reason code."""
    return {rule.code: rule.sql for rule in contract.rules if rule.kind == "invalid" and rule.sql}


def reasons_sql(contract: Contract) -> str:
    """Return an expression for all broken rules of an event, comma-separated; empty when it passes.

    A condition that is NULL counts as broken.
    """
    cases = [
        f"case when coalesce({sql}, false) then null else '{code}' end" for code, sql in event_rules(contract).items()
    ]
    return f"concat_ws(',', {', '.join(cases)})"


def _canonical(name: str, kind: str) -> str:
    """Return a field's one text form, NULL where it is null.

    The timestamp is its instant in microseconds and its zone: the local day of a transaction follows from both.
    """
    if kind == "decimal":
        return f"cast(cast({name} as decimal(20,4)) as varchar)"
    if kind == "timestamp":
        micros = f"cast(extract(epoch from date_trunc('second', {name})) as bigint)"
        fraction = f"cast(extract(microseconds from {name}) as bigint) % 1000000"
        return f"concat({micros}, '.', {fraction}, '/', utc_offset_minutes)"
    return f"cast({name} as varchar)"


def _part(name: str, kind: str) -> str:
    """Return a field's length and text; length first, so that no two lists of fields look the same."""
    text = _canonical(name, kind)
    if kind == "timestamp":
        return f"concat(length({text}), ':', {text})"
    return f"coalesce(cast(length({text}) as varchar) || ':' || {text}, '-')"


def identity_sql(contract: Contract) -> str:
    """Return the expression whose md5 is identity_hash: all fields but status and failure reason."""
    parts = [_part(f.stored_as, f.type) for f in contract.fields if f.name not in STATUS_FIELDS]
    return " || ".join(parts)


def status_sql(contract: Contract) -> str:
    """Return the expression that, behind the identity, makes the text whose md5 is content_hash."""
    return " || ".join(_part(f.stored_as, f.type) for f in contract.fields if f.name in STATUS_FIELDS)


def judged_sql(contract: Contract, where: str = "true") -> str:
    """Return the query of the delivered events with what silver says of each.

    It reads `delivered`, one row an event: the contract's columns, utc_offset_minutes, and of the delivery status_at
    and arrived_at. It adds reasons, the broken rules, comma-separated; identity_hash and content_hash; known_at, the
    arrival; claimed_at, the header's time. Its status_at is the time from which the status counts.

    Args:
        contract: the fields and rules.
        where: which of them; the others are not judged, which a condition around the query could not spare.
    """
    return f"""
        select * exclude (identity, state_of) replace ({STATUS_TIME} as status_at),
            arrived_at as known_at, unhex(md5(identity || state_of)) as content_hash,
            unhex(md5(identity)) as identity_hash
        from (
            select *, status_at as claimed_at, {identity_sql(contract)} as identity, {status_sql(contract)} as state_of,
                {reasons_sql(contract)} as reasons
            from delivered where {where}
        )
    """
