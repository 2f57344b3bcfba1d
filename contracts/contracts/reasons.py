"""All reasons for which events are refused: the strict parser's, then the contract's SQL rules in DuckDB."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb

from contracts.event_json import to_json
from contracts.model import Entity
from contracts.rules import event_rules
from contracts.verdict import judge

# An arrival that any sound sample lies before.
ARRIVED = datetime(2026, 12, 1, tzinfo=UTC)
_TYPES = {"string": "varchar", "decimal": "decimal(20,4)", "boolean": "boolean", "timestamp": "timestamptz"}


def reasons_of(
    entity: Entity, events: Sequence[dict[str, Any] | bytes | None], arrived_at: datetime = ARRIVED
) -> list[set[str]]:
    """Return the codes of what is wrong with each event, given as fields or as bytes."""
    rules = event_rules(entity)
    columns = [f"cast(? as {_TYPES[field.type]}) as {field.stored_as}" for field in entity.fields]
    conditions = ", ".join(f"coalesce({sql}, false)" for sql in rules.values())
    query = f"select {conditions} from (select {', '.join(columns)}, cast(? as timestamptz) as arrived_at)"  # noqa: S608
    found: list[set[str]] = []
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for event in events:
            verdict = judge(to_json(event) if isinstance(event, dict) else event, entity)
            if verdict.reasons:
                found.append(set(verdict.reasons))
                continue
            values = [verdict.stated(field) for field in entity.fields]
            passed = connection.execute(query, [*values, arrived_at]).fetchall()[0]
            found.append({code for code, is_true in zip(rules, passed, strict=True) if not is_true})
    return found
