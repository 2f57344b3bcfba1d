"""What the loader will make of dead letters, said before they are sent: its own judgement, on tables that nobody keeps.

It knows silver as the last load left it, the dead letters of the same redrive, and first those of a killed one.
It does not know what has been sent and no load has taken yet.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from contracts.control_total import Money, amounts_as_json
from contracts.judge import UTC_TIME, Judge
from contracts.model import Entity
from warehouse.columns import book_name
from warehouse.dlq.books import DEAD_LETTERS, Connection
from warehouse.dlq.lake import MEMORY, PAGE_LETTERS
from warehouse.dlq.listing import two_digits
from warehouse.dlq.plan import Intent
from warehouse.read import open_workspace, view_events
from warehouse.stage import fill_stage, judge_stage

NAMED = 50

_STAGE = """
create temporary table stage (
    {key} text, status text, amount numeric(20,4), currency text, content_hash uuid, identity_hash uuid,
    run text, seq bigint, redrive_of text, known_at timestamptz, topic_id text, "partition" integer, "offset" bigint,
    reasons text[]
) on commit drop
"""
_COLUMNS = (
    *("status", "amount", "currency", "content_hash", "identity_hash"),
    *("run", "seq", "redrive_of", "known_at", "topic_id", "partition", "offset"),
)
_UNFINISHED = """
select p.value, d.run, d.seq, d.redrive_of
from metadata.letter_decisions d join raw.redrive_payloads p using (redrive_id)
    join metadata.redrive_feeds f on f.run = d.run and f.entity = %s
where d.decision = 'REDRIVEN' and d.confirmed_at is null order by d.run, d.seq
"""
_BECOMES = """
create temporary table becomes on commit drop as
select s.run, s.seq, s.redrive_of, s.currency, s.amount,
    case v.verdict when 'NEW' then '{silver}' when 'DUPLICATE' then '{duplicates}' else '{rejected}' end as book,
    case v.verdict when 'NEW' then '{{}}' when 'DUPLICATE' then '{{}}' when 'EVENT_RULES' then s.reasons
        else array[v.verdict] end as codes
from stage s join verdicts v on v.place = s.ctid
"""
_COUNTED = "select book, codes, currency, count(*), sum(amount) from becomes where run = %s group by 1, 2, 3"
_NOT_NEW = """
select seq, redrive_of, book, codes from becomes where run = %s and book <> %s order by seq limit %s
"""


class _Sent(NamedTuple):
    value: bytes | None
    run: str
    seq: int
    redrive_of: str


class Forecast:
    """Dead letters of one redrive, judged together."""

    def __init__(
        self, connection: Connection, workspace: duckdb.DuckDBPyConnection, entity: Entity, topic_id: str, run: str
    ) -> None:
        self._connection, self._workspace, self._entity = connection, workspace, entity
        self._judge = Judge(entity)
        self._topic_id, self._run = topic_id, run
        self._now = datetime.now(UTC)
        self._malformed: list[tuple[int, str, str, list[str]]] = []

    def add(self, planned: Iterable[Intent]) -> None:
        """Take a page of the dead letters, in the order in which they will be sent."""
        sound = []
        for intent in planned:
            if not intent.expected:
                sound.append(_Sent(intent.letter.value, intent.run, intent.seq, intent.redrive_of))
            elif len(self._malformed) < NAMED:
                self._malformed.append((intent.seq, intent.redrive_of, DEAD_LETTERS, list(intent.expected)))
        if sound:
            self._stage(sound, self._now)

    def add_unfinished(self) -> None:
        """Take the dead letters of killed redrives, which are sent before all others."""
        with self._connection.cursor("unfinished") as cursor:
            cursor.execute(_UNFINISHED, [self._entity.name])
            while rows := cursor.fetchmany(PAGE_LETTERS):
                self._stage([_Sent(*row) for row in rows], self._now - timedelta(seconds=1))

    def outcome(self) -> dict[str, Any]:
        """Return what will become of the dead letters.

        Returns:
            new, duplicates, rejected_letters: counts; new_amounts by currency; rejected: by reason code, one with two
            reasons under both; not_new: the first that will not be new, with the book of each and why.
        """
        self._connection.execute("analyze stage")
        judge_stage(self._connection, 0, self._entity)
        silver, duplicates, rejected = map(
            book_name, (self._entity.silver, self._entity.duplicates, self._entity.rejected)
        )
        self._connection.execute(_BECOMES.format(silver=silver, duplicates=duplicates, rejected=rejected).encode())
        counts, codes, amounts = Counter[str](), Counter[str](), dict[str, Money]()
        for book, reasons, currency, count, amount in self._connection.execute(_COUNTED, [self._run]).fetchall():
            counts[book] += count
            codes.update(dict.fromkeys(reasons, count))
            if book == silver:
                amounts[currency] = Money(count, two_digits(amount))
        listed = self._connection.execute(_NOT_NEW, [self._run, silver, NAMED]).fetchall()
        first = sorted([*self._malformed, *listed], key=lambda each: each[0])[:NAMED]
        return {
            "new": counts[silver],
            "new_amounts": amounts_as_json(amounts),
            "duplicates": counts[duplicates],
            "rejected_letters": counts[rejected],
            "rejected": dict(sorted(codes.items())),
            "not_new": [{"letter": name, "becomes": book, "reasons": why} for _, name, book, why in first],
        }

    def _stage(self, sent: Sequence[_Sent], arrives_at: datetime) -> None:
        """Put the well-formed ones among sent events into the stage, as the lake would have them."""
        judged = self._judge.judge(pa.array([each.value for each in sent], pa.binary()))
        delivered = {
            "run": pa.array([each.run for each in sent], pa.string()),
            "seq": pa.array([each.seq for each in sent], pa.int64()),
            "redrive_of": pa.array([each.redrive_of for each in sent], pa.string()),
            "status_at": pa.nulls(len(sent), UTC_TIME),
            "arrived_at": pa.array([arrives_at] * len(sent), UTC_TIME),
            "topic_id": pa.array([self._topic_id] * len(sent), pa.string()),
            "partition": pa.array([0] * len(sent), pa.int32()),
            "offset": pa.array([each.seq for each in sent], pa.int64()),
        }
        events = pa.table(dict(zip(judged.columns.schema.names, judged.columns, strict=True)) | delivered)
        self._workspace.register("letters", events.filter(judged.is_sound))
        view_events(self._workspace, self._entity, "letters")
        fill_stage(self._connection, self._workspace, "events", (self._entity.key, *_COLUMNS))
        self._workspace.unregister("letters")


@contextmanager
def open_forecast(connection: Connection, entity: Entity, topic_id: str, run: str) -> Iterator[Forecast]:
    """Open the tables of a forecast; nothing of them is left afterwards.

    Args:
        connection: of role redrive.
        entity: fields and rules.
        topic_id: of the topic that the dead letters would be sent to.
        run: the feed that they would be sent as.
    """
    with (
        connection.transaction(force_rollback=True),
        open_workspace(Path(tempfile.gettempdir()), MEMORY) as workspace,
    ):
        connection.execute(_STAGE.format(key=entity.key).encode())
        yield Forecast(connection, workspace, entity, topic_id, run)
