"""`tieout patterns explain`: a detection computed again from the payments that PostgreSQL keeps."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from core.database_errors import DatabaseAwayError
from core.errors import TieoutError
from core.settings import Settings, load_settings
from core.text import shown
from patterns.judge import Key, judge
from patterns.ledger import LEFT, Connection, Watch, connection_of, find_watch, load_state, load_weights
from patterns.weights import Weights


@dataclass(frozen=True)
class Explanation:
    """What is known of a detection.

    Attributes:
        detection: its row.
        rules: those of its watch.
        again: the evidence as of its chunk, computed anew; None where the pattern was not true.
        before: the evidence as of the chunk before; None, as it should be, where the pattern was not true.
        now: the evidence as of the newest chunk; None where the pattern is true no longer.
    """

    detection: dict[str, Any]
    rules: dict[str, Any]
    again: dict[str, Any] | None
    before: dict[str, Any] | None
    now: dict[str, Any] | None

    @property
    def is_equal(self) -> bool:
        """Whether the detection is as it should be, and in the right chunk."""
        return self.again == self.detection["evidence"] and self.before is None


def explain(name: str, settings: Settings | None = None) -> Explanation:
    """Compute a detection again.

    Args:
        name: its id, or the begin of it.
        settings: the platform's, if none are given.

    Raises:
        TieoutError: there is no such detection, or several begin so.
        OutageError: the database is away.
    """
    try:
        with connection_of(settings or load_settings()) as connection:
            detection = _find(connection, name)
            watch = find_watch(connection, detection["watch"])
            assert watch is not None  # noqa: S101  (a foreign key)
            weights = load_weights(connection, watch)
            key = Key(detection["pattern"], detection["merchant"], detection["customer"])
            chunk = detection["chunk"]
            return Explanation(
                detection,
                watch.rules.as_json(),
                *(_evidence(connection, watch, weights, key, upto) for upto in (chunk, chunk - 1, None)),
            )
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, LEFT) from None


def _evidence(
    connection: Connection, watch: Watch, weights: Weights, key: Key, upto: int | None
) -> dict[str, Any] | None:
    merchant = load_state(connection, watch.watch_id, upto, key.merchant).merchants[key.merchant]
    customers = [key.customer] if key.customer in merchant.pairs else []
    found = judge(key.merchant, merchant, customers, watch.rules, weights)
    return next((dict(each.evidence) for each in found if each.key == key), None)


def _find(connection: Connection, name: str) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(
            "select * from patterns.detections_now where starts_with(detection_id, %s) limit 2", [name]
        ).fetchall()
    if len(found) != 1:
        many = "no detection has" if not found else "several detections have"
        raise TieoutError(
            f"{many} an id that begins with {name!r}.", "nothing was changed.", "./scripts/tieout patterns list"
        )
    return found[0]


def as_json(found: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON types."""
    detection = {**found.detection, "detected_at": found.detection["detected_at"].isoformat()}
    return {
        "detection": detection,
        "rules": found.rules,
        "recomputed": found.again,
        "a_chunk_before": found.before,
        "now": found.now,
        "verdict": "EQUAL" if found.is_equal else "DIFFERENT",
    }


def as_text(found: Explanation) -> str:
    """Return an explanation for people."""
    each = found.detection
    who = f"{shown(each['customer'])} with {shown(each['merchant'])}" if each["customer"] else shown(each["merchant"])
    lines = [
        f"{each['pattern']} {each['action']}: {who}, chunk {each['chunk']}, watch {shown(each['watch'])}",
        *(f"  {name}: {value}" for name, value in each["evidence"].items()),
        "  rules: " + ", ".join(f"{name} {value}" for name, value in found.rules.items()),
        f"  now: {'still true' if found.now else 'true no longer'}"
        + ("".join(f", {k} {v}" for k, v in (found.now or {}).items())),
    ]
    if found.is_equal:
        lines.append("  EQUAL: the payments up to that chunk give the same evidence, those up to the chunk before none")
    else:
        lines.append(f"  DIFFERENT: up to that chunk {found.again}, up to the chunk before {found.before}")
    return "\n".join(lines)
