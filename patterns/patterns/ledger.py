"""What PostgreSQL keeps of a watch: its terms, what it has seen, what it has found. All of it belongs to one name."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Any

import psycopg

from core.database_errors import DatabaseAwayError
from core.errors import OutageError, TieoutError
from core.locks import AdvisoryKey, hold_advisory
from core.pooler import open_session
from core.settings import Settings
from core.text import shown
from patterns.bad_chunk import Problem
from patterns.judge import Key, Known
from patterns.rules import Rules
from patterns.state import Group, State
from patterns.weights import Weights

Connection = psycopg.Connection[Any]
LEFT = "every chunk that was applied counts once."


@dataclass(frozen=True)
class Watch:
    """The terms of a watch, which never change.

    Attributes:
        watch_id: 0 before it is begun.
        name: a person's.
        source: the address of the chunks.
        detections: the address of the files of detections.
        weights_sha256: of the importance file; empty: whatever it was begun with.
        started_at: when it was begun first, whatever happened since.
    """

    watch_id: int
    name: str
    source: str
    detections: str
    rules: Rules
    weights_sha256: str
    started_at: datetime


@dataclass(frozen=True)
class Applied:
    """A chunk that counts."""

    number: int
    name: str
    version: str
    sha256: str
    next_row: int
    is_last: bool


@contextmanager
def ledger_of(settings: Settings) -> Iterator[Connection]:
    """Yield a connection as role patterns, in autocommit mode; it is the only one that watches.

    Raises:
        OutageError: the database is away, or somebody else watches.
    """
    with connection_of(settings) as connection, hold_advisory(connection, AdvisoryKey.PATTERNS, 5, _busy):
        yield connection


@contextmanager
def connection_of(settings: Settings) -> Iterator[Connection]:
    """Yield a connection as role patterns, in autocommit mode.

    Raises:
        OutageError: the database is away.
    """
    try:
        with open_session(settings.dsn("patterns", options="-c timezone=UTC")) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(error, LEFT, "the same command, which goes on") from None


def _busy(holder: str) -> OutageError:
    return OutageError(
        f"somebody else looks for patterns already: {holder}.", "nothing was changed.", "the same command when it ended"
    )


def find_watch(connection: Connection, name: str) -> Watch | None:
    """Return a watch by its name; None where there is none."""
    row = connection.execute(
        "select watch_id, name, source, detections, rules, weights_sha256, y_started_at from patterns.watches "
        "where name = %s",
        [name],
    ).fetchone()
    if row is None:
        return None
    watch_id, name, source, detections, rules, weights_sha256, started_at = row
    return Watch(watch_id, name, source, detections, Rules.of_json(rules), weights_sha256, started_at)


def same_watch(connection: Connection, wanted: Watch) -> Watch | None:
    """Return the watch of a name; None where it can be begun.

    Raises:
        TieoutError: the name has other terms, or it is to be begun without weights.
    """
    found = find_watch(connection, wanted.name)
    if found is None:
        if not wanted.weights_sha256:
            raise TieoutError(
                "the weights of the customers are not named.",
                "nothing was read or written.",
                "the same command with --weights and the importance file",
            )
        return None
    same = replace(wanted, watch_id=found.watch_id, started_at=found.started_at)
    if not same.weights_sha256:
        same = replace(same, weights_sha256=found.weights_sha256)
    differing = [name for name in vars(found) if getattr(found, name) != getattr(same, name)]
    if differing:
        name = differing[0]
        raise TieoutError(
            f"the watch {shown(found.name)} was begun with other {name}, {_said(found, name)}; now it is "
            f"{_said(same, name)}.",
            "nothing was read or written.",
            "the same command with --name and another name, which looks at every chunk anew",
        )
    return found


def _said(watch: Watch, name: str) -> str:
    value = getattr(watch, name)
    return shown(json.dumps(value.as_json()) if isinstance(value, Rules) else value)


def begin_watch(connection: Connection, wanted: Watch, weights: Weights, refused: dict[str, int]) -> Watch:
    """Begin a watch.

    Args:
        wanted: with a name that is new.
        refused: how many rows of the weights cannot be read, by reason.
    """
    with connection.transaction(), connection.cursor() as cursor:
        row = cursor.execute(
            "insert into patterns.watches (name, source, detections, rules, weights_sha256, weights_refused, "
            "y_started_at) values (%s, %s, %s, %s, %s, %s, %s) returning watch_id",
            [
                *(wanted.name, wanted.source, wanted.detections, json.dumps(wanted.rules.as_json())),
                *(wanted.weights_sha256, sum(refused.values()), wanted.started_at),
            ],
        ).fetchone()
        assert row is not None  # noqa: S101  (returning)
        watch = replace(wanted, watch_id=row[0])
        with cursor.copy(
            "copy patterns.weights (watch_id, customer, merchant, numerator, denominator) from stdin"
        ) as to:
            for (customer, merchant), value in weights.values.items():
                to.write_row((watch.watch_id, customer, merchant, value.numerator, value.denominator))
        for reason, count in refused.items():
            note(cursor, watch.watch_id, Problem.WEIGHTS, reason, f"{count} rows of the weights: {reason}")
    return watch


def load_weights(connection: Connection, watch: Watch) -> Weights:
    """Return the weights with which a watch was begun."""
    rows = connection.execute(
        "select customer, merchant, numerator, denominator from patterns.weights where watch_id = %s", [watch.watch_id]
    )
    values = {(customer, merchant): Fraction(int(up), int(down)) for customer, merchant, up, down in rows}
    return Weights(watch.rules.weight == "pair", values)


def load_state(connection: Connection, watch_id: int, upto: int | None = None, merchant: str | None = None) -> State:
    """Return everything seen up to a chunk.

    Args:
        upto: the last chunk that is taken; None: all.
        merchant: only this one; None: all.
    """
    rows = connection.execute(
        "select merchant, customer, gender, count(*), sum(amount) from patterns.payments where watch_id = %(watch)s "
        "and (%(upto)s::int is null or chunk <= %(upto)s) and (%(merchant)s::text is null or merchant = %(merchant)s) "
        "group by merchant, customer, gender",
        {"watch": watch_id, "upto": upto, "merchant": merchant},
    )
    return State(Group(*row) for row in rows)


def load_known(connection: Connection, watch_id: int) -> Known:
    """Return the detections that were made, and whether each is still true."""
    rows = connection.execute(
        "select d.pattern, d.merchant, d.customer, coalesce((select holds from patterns.detection_changes c "
        "where (c.watch_id, c.sequence) = (d.watch_id, d.sequence) order by c.chunk desc limit 1), true) "
        "from patterns.detections d where watch_id = %s",
        [watch_id],
    )
    return Known({Key(*row[:3]): row[3] for row in rows})


def load_applied(connection: Connection, watch_id: int) -> dict[int, Applied]:
    """Return the chunks that count, by number."""
    rows = connection.execute(
        "select number, name, version, sha256, first_row + rows, is_last from patterns.chunks "
        "where watch_id = %s order by number",
        [watch_id],
    )
    return {row[0]: Applied(*row) for row in rows}


def note(
    cursor: psycopg.Cursor[Any] | Connection,
    watch_id: int,
    kind: Problem,
    subject: str,
    says: str,
    *,
    chunk: int | None = None,
) -> None:
    """Keep what is wrong, once for each kind and subject."""
    cursor.execute(
        "insert into patterns.findings (watch_id, kind, subject, chunk, says) values (%s, %s, %s, %s, %s) "
        "on conflict (watch_id, kind, subject) do update set says = excluded.says, settled_at = null",
        [watch_id, kind, subject, chunk, says],
    )


def detection_id(watch: str, key: Key) -> str:
    """Return the id of a detection, the same whenever it is made."""
    text = "\0".join((watch, key.pattern, key.merchant, key.customer))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
