"""`tieout live --check`: the comparison with gold and whether the service counts, for people and for programs."""

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg

from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.errors import OutageError, TieoutError
from core.locks import AdvisoryKey, is_advisory_held
from core.settings import Settings, load_settings
from core.text import shown
from live import set_aside
from live.broker import Broker
from live.drift import COMPARED, Check, compare
from live.engine import connect, database_away
from live.gold import snapshot
from live.set_aside import SetAside

EQUAL, NOT_EQUAL, STILL_COUNTING = 0, 1, 75
_COUNTED = "select partition from live.positions where topic_id = (select topic_id from live.opening)"


@dataclass(frozen=True)
class Report:
    """A comparison, and how the service stands.

    Attributes:
        check: the comparison with gold.
        is_running: an engine holds the lock.
        skipped: partitions of the topic that nobody counts.
        aside: events that were set aside.
        trouble: why nothing can be counted now; None: something can.
    """

    check: Check
    is_running: bool
    skipped: tuple[int, ...]
    aside: SetAside
    trouble: str | None = None

    @property
    def verdict(self) -> str:
        """OK, DIFFERENT, DOWN, SKIPPING, or UNCHECKED where it still counts."""
        if self.check.verdict == "DIFFERENT":
            return "DIFFERENT"
        if not self.is_running or self.trouble:
            return "DOWN"
        return "SKIPPING" if self.skipped else self.check.verdict

    @property
    def why(self) -> str | None:
        """What keeps the totals from being found equal."""
        if self.verdict == "DOWN":
            return self.trouble or "no live view is at work: ./scripts/tieout status, then ./scripts/tieout logs live"
        if self.verdict == "SKIPPING":
            which = ", ".join(map(str, self.skipped))
            return (
                f"the live view does not read partitions {which} of the topic. It takes new ones in within seconds; "
                "if it does not: ./scripts/tieout logs live"
            )
        return self.check.why

    @property
    def exit_code(self) -> int:
        """0 only when equal, 75 while it still counts, else 1."""
        return {"OK": EQUAL, "UNCHECKED": STILL_COUNTING}.get(self.verdict, NOT_EQUAL)


def check_now(settings: Settings | None = None) -> Check:
    """Compare the totals with gold as both stand; nothing is written.

    Raises:
        OutageError: the database is away, or gold is being exchanged at this moment.
    """
    with closing(connect(settings or load_settings())) as connection:
        return _compared(connection)


def report_now(settings: Settings | None = None) -> Report:
    """Compare the totals with gold, and ask whether all of the topic is being counted; nothing is written.

    Raises:
        TieoutError: the database is away, and the live view with it.
        OutageError: gold is being exchanged at this moment.
    """
    settings = settings or load_settings()
    try:
        connection = connect(settings)
    except OutageError as error:
        # Not an outage to wait for: whoever asks wants to know whether the live view counts, and it cannot.
        raise TieoutError(error.what, "nothing was written.", error.next) from error
    with closing(connection):
        check, aside = _compared(connection), set_aside.count(connection)
        is_running = is_advisory_held(connection, AdvisoryKey.LIVE, "live")
        counted = {row[0] for row in connection.execute(_COUNTED)}
    broker = Broker(settings, load_entity(PAYMENTS).topic.name)
    try:
        there, trouble = broker.partitions(), None
    except TieoutError as error:
        there, trouble = set(), error.what
    finally:
        broker.close()
    # An engine that has not begun has no position yet.
    skipped = tuple(sorted(there - counted)) if counted else ()
    return Report(check, is_running, skipped, aside, trouble)


def _compared(connection: psycopg.Connection[Any]) -> Check:
    try:
        with snapshot(connection, *COMPARED):
            row = connection.execute("select topic_id from live.opening").fetchone()
            return compare(connection, row[0] if row else "")
    except psycopg.errors.UndefinedTable as error:
        raise OutageError("a mart is being exchanged.", "nothing was written.", "the same command again") from error
    except psycopg.OperationalError as error:
        raise database_away(error) from error


def to_json(report: Report) -> dict[str, Any]:
    """Return a comparison as JSON types; amounts are texts."""
    check = report.check
    return {
        "build_id": str(check.build_id) if check.build_id else None,
        "verdict": report.verdict,
        "why": report.why,
        "running": report.is_running,
        "partitions_skipped": list(report.skipped),
        "set_aside": {"not_counted": report.aside.counting, "not_judged": report.aside.alerts},
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


def as_text(report: Report) -> str:
    """Return a comparison for people: a line per currency and status."""
    check = report.check
    lines = [f"live view against gold, build {check.build_id}: {check.verdict}"] if check.lines else []
    for line in check.lines:
        count, amount = line.live_count - line.gold_count, line.live_amount - line.gold_amount
        drift = "" if line.is_equal else f"   DRIFT {count:+,} / {amount:+,.2f}"
        lines.append(
            f"  {shown(line.currency)} {shown(line.status):8} {line.live_count:>12,} {line.live_amount:>20,.2f}   "
            f"gold {line.gold_count:>12,} {line.gold_amount:>20,.2f}{drift}"
        )
    if report.verdict == "UNCHECKED":
        lines.append(f"not compared: {shown(report.why)}")
    elif report.why:
        lines.append(f"{report.verdict}: {shown(report.why)}")
    if aside := str(report.aside):
        lines.append(aside)
    return "\n".join(lines)
