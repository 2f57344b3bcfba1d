"""`tieout live --check`: the comparison with gold, for people and for programs."""

from contextlib import closing
from typing import Any

import psycopg

from core.errors import OutageError
from core.text import shown
from live.drift import COMPARED, Check, compare
from live.engine import connect, database_away
from live.gold import snapshot
from live.settings import LiveSettings, read_settings


def check_now(settings: LiveSettings | None = None) -> Check:
    """Compare the totals with gold as both stand; nothing is written.

    Raises:
        OutageError: the database is away, or gold is being exchanged at this moment.
    """
    try:
        with closing(connect(settings or read_settings())) as connection, snapshot(connection, *COMPARED):
            row = connection.execute("select topic_id from live.opening").fetchone()
            return compare(connection, row[0] if row else "")
    except psycopg.errors.UndefinedTable as error:
        raise OutageError("a mart is being exchanged.", "nothing was written.", "the same command again") from error
    except psycopg.OperationalError as error:
        raise database_away(error) from error


def to_json(check: Check) -> dict[str, Any]:
    """Return a comparison as JSON types; amounts are texts."""
    return {
        "build_id": str(check.build_id) if check.build_id else None,
        "verdict": check.verdict,
        "why": check.why,
        "totals": [
            {
                "currency": line.currency,
                "status": line.status,
                "live": {"count": line.live_count, "amount": str(line.live_amount)},
                "gold": {"count": line.gold_count, "amount": str(line.gold_amount)},
                "drift": {
                    "count": line.live_count - line.gold_count,
                    "amount": str(line.live_amount - line.gold_amount),
                },
            }
            for line in check.lines
        ],
    }


def as_text(check: Check) -> str:
    """Return a comparison for people: a line per currency and status."""
    if check.verdict == "UNCHECKED":
        return f"not compared: {shown(check.why)}"
    lines = [f"live view against gold, build {check.build_id}: {check.verdict}"]
    for line in check.lines:
        count, amount = line.live_count - line.gold_count, line.live_amount - line.gold_amount
        drift = "" if line.is_equal else f"   DRIFT {count:+,} / {amount:+,.2f}"
        lines.append(
            f"  {shown(line.currency)} {shown(line.status):8} {line.live_count:>12,} {line.live_amount:>20,.2f}   "
            f"gold {line.gold_count:>12,} {line.gold_amount:>20,.2f}{drift}"
        )
    return "\n".join(lines)
