"""The contract's rules and hashes as SQL over one event's columns; the same text runs in DuckDB and in PostgreSQL."""

from contracts.model import Contract

# What never changes between the statuses of a transaction is everything but these two.
STATUS_FIELDS = ("status", "failure_reason")


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
