"""`tieout dlq list`: letters as money, by reason, day, source feed and state."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from contracts.control_total import Money, amounts_as_json
from warehouse.dlq.books import Connection
from warehouse.dlq.selection import Selection, where

UNKNOWN = "unknown"


def list_groups(connection: Connection, selection: Selection, *, by: Sequence[str]) -> list[dict[str, Any]]:
    """Return the letters in groups, the largest first; a letter with several reasons is in one group, of all of them.

    Letters of different entities are never in one group.

    Args:
        connection: of role redrive.
        selection: which letters.
        by: reason, day, source, state: what makes a group.

    Returns:
        for each group its entity, reasons, day, source, state (None where it is not grouped by it), count, amounts by
        currency with the rest as unknown, oldest arrival and its age in seconds.
    """
    columns = {"reason": "reasons", "day": "arrived_on", "source": "source", "state": "state"}
    kinds = {"reason": "text[]", "day": "date", "source": "text", "state": "text"}
    selected = [columns[name] if name in by else f"null::{kinds[name]} as {columns[name]}" for name in columns]
    condition, values = where(selection, connection)
    query = sql.SQL(
        "select entity, {}, currency, count(*) as count, sum(amount) as amount, min(arrived_at) as oldest, "
        "extract(epoch from max(age))::bigint as age from metadata.dead_letter_book where {} group by 1, 2, 3, 4, 5, 6"
    ).format(sql.SQL(", ".join(selected)), condition)
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    with connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(query, values):
            key = (row["entity"], tuple(row["reasons"] or ()), row["arrived_on"], row["source"], row["state"])
            groups.setdefault(key, []).append(row)
    listed = [_group(key, rows) for key, rows in groups.items()]
    return sorted(listed, key=lambda group: (-group["count"], group["reasons"], str(group["day"])))


def _group(key: tuple[Any, ...], rows: list[dict[str, Any]]) -> dict[str, Any]:
    entity, reasons, day, source, state = key
    known = {row["currency"]: Money(row["count"], row["amount"]) for row in rows if row["currency"]}
    unknown = sum(row["count"] for row in rows if not row["currency"])
    amounts: dict[str, Any] = amounts_as_json({c: Money(m.count, two_digits(m.amount)) for c, m in known.items()})
    return {
        "entity": entity,
        "reasons": list(reasons),
        "day": day.isoformat() if day else None,
        "source": source,
        "state": state,
        "count": sum(row["count"] for row in rows),
        "amounts": amounts | ({UNKNOWN: {"count": unknown, "amount": None}} if unknown else {}),
        "oldest": min(row["oldest"] for row in rows).isoformat(),
        "age_seconds": max(row["age"] for row in rows),
    }


def two_digits(amount: Decimal) -> Decimal:
    """Return an amount with two digits, or more where there are more."""
    shortened = amount.normalize()
    exponent = shortened.as_tuple().exponent
    return shortened if isinstance(exponent, int) and exponent < -2 else amount.quantize(Decimal("0.01"))


def list_letters(connection: Connection, selection: Selection, limit: int) -> list[dict[str, Any]]:
    """Return single letters, oldest first, without anything personal."""
    condition, values = where(selection, connection)
    query = sql.SQL(
        'select book, entity, topic_id, partition, "offset", source, seq, reasons, arrived_at, '
        "extract(epoch from age)::bigint as age_seconds, currency, amount, value_bytes, state, is_unconfirmed, "
        "decided_at, redriven_run, redriven_seq, redrive_of, successor_book, successor_partition, successor_offset, "
        "load_id, conflict "
        'from metadata.dead_letter_book where {} order by arrived_at, partition, "offset" limit %s'
    ).format(condition)
    with connection.cursor(row_factory=dict_row) as cursor:
        return [_letter(row) for row in cursor.execute(query, [*values, limit])]


def _letter(row: dict[str, Any]) -> dict[str, Any]:
    successor = None
    if row["successor_book"]:
        place = f"{row['successor_partition']}:{row['successor_offset']}"
        successor = {"book": row["successor_book"], "letter": place}
    redriven = {"run": row["redriven_run"], "seq": row["redriven_seq"]} if row["redriven_run"] else None
    kept = ("book", "entity", "topic_id", "source", "seq", "reasons", "age_seconds", "currency", "value_bytes", "state")
    return {
        "letter": f"{row['partition']}:{row['offset']}",
        **{name: row[name] for name in kept},
        "arrived_at": _text(row["arrived_at"]),
        "amount": None if row["amount"] is None else f"{two_digits(row['amount']):f}",
        "is_unconfirmed": bool(row["is_unconfirmed"]),
        "decided_at": _text(row["decided_at"]),
        "redriven": redriven,
        "redrive_of": row["redrive_of"],
        "successor": successor,
        "load_id": row["load_id"],
        "conflict": row["conflict"],
    }


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def age_text(seconds: int) -> str:
    """Return an age as people say it."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{max(seconds, 0)} s"
