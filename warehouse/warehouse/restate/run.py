"""A restatement from two moments to what differs, and why."""

from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from core.errors import TieoutError
from core.files import replacing
from core.settings import Settings, load_settings
from warehouse.restate.moments import moment, require_summary
from warehouse.restate.states import MEASURES, causes, copy_causes, count_causes, find_changed, groups
from warehouse.snapshot import one_snapshot

SHOWN_TRANSACTIONS = 1_000


def restate(
    as_of: datetime,
    vs: datetime | None = None,
    *,
    transactions: Path | None = None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Compare what the daily summary said after the last build finished by a moment with what it says now.

    It reads as role dbt, in one snapshot, and writes nothing to the warehouse.

    Args:
        as_of: the moment, with a zone.
        vs: compare with this later moment instead of now.
        transactions: where all transactions that make the difference are written as CSV, mode 600.
        settings: the warehouse's; read from the home when not given.

    Returns:
        what `tieout restate --json` prints.

    Raises:
        TieoutError: nothing was built yet, a build is under way, or the database is away.
    """
    settings = settings or load_settings()
    with one_snapshot(settings.dsn("dbt"), "nothing was changed.") as db:
        require_summary(db)
        then, other = moment(db, as_of), moment(db, vs)
        find_changed(db, then, other)
        if transactions is not None:
            _write(transactions, db)
        result = {
            "as_of": then.as_json(),
            "vs": other.as_json(),
            "definitions_changed": None not in (then.definitions, other.definitions)
            and then.definitions != other.definitions,
            "rows": [_row(each) for each in groups(db)],
            "transaction_counts": count_causes(db),
            "transactions": [_plain(each) for each in causes(db, SHOWN_TRANSACTIONS)],
            "transactions_file": str(transactions) if transactions else None,
        }
        db.rollback()
    return result


def _write(path: Path, db: psycopg.Connection[Any]) -> None:
    try:
        with replacing(path, mode=0o600) as partial:
            copy_causes(db, partial)
    except OSError as error:
        raise TieoutError(
            f"{path} cannot be written: {error.strerror}.", "what was there before is unchanged.", "--transactions FILE"
        ) from None


def _row(found: dict[str, Any]) -> dict[str, Any]:
    then = {name: found[f"{name}_then"] for name in MEASURES}
    now = {name: found[f"{name}_vs"] for name in MEASURES}
    return {
        "occurred_on": str(found["occurred_on"]),
        "currency": found["currency"],
        "merchant_category": found["merchant_category"],
        "restated": any(then[name] for name in ("success_count", "failed_count", "pending_count")),
        "then": _figures(then),
        "now": _figures(now),
        "difference": _figures({name: now[name] - then[name] for name in MEASURES}),
    }


def _figures(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value if name.endswith("_count") else str(value) for name, value in values.items()}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat()
        if isinstance(value, datetime)
        else value
        if isinstance(value, int | None)
        else str(value)
        for name, value in row.items()
    }
