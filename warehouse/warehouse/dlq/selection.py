"""Which letters a command is about."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

from psycopg import sql

from contracts.model import Contract
from core.errors import OptionError, TieoutError
from warehouse.dlq.books import DEAD_LETTERS, REJECTED, Connection, current_topic

FETCHED = 5_000
STATES = {"open": "OPEN", "redriven": "REDRIVEN", "written-off": "WRITTEN_OFF"}
NOTHING = "nothing was sent or written."
_OFFSETS = re.compile(r"([0-9]{1,9}):([0-9]{1,18})(?:-([0-9]{1,18}))?")


class Coordinates(NamedTuple):
    """Where a letter stands."""

    topic_id: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class Wanted(NamedTuple):
    """A letter to read: where, from which day, and its reasons, comma-separated."""

    place: Coordinates
    day: date
    reasons: str


@dataclass(frozen=True)
class Selection:
    """Letters of one book, by what is known of them.

    Attributes:
        offsets: partition, first and last offset, each; they are of one topic.
        topic_id: None for all topics; with offsets, the one that is read now.
        state: OPEN, REDRIVEN, WRITTEN_OFF or None for all.
    """

    book: str = DEAD_LETTERS
    reason: str | None = None
    day: date | None = None
    source: str | None = None
    state: str | None = None
    offsets: tuple[tuple[int, int, int], ...] = ()
    topic_id: str | None = None

    def __str__(self) -> str:
        ranges = ",".join(f"{p}:{a}" if a == b else f"{p}:{a}-{b}" for p, a, b in self.offsets)
        named = {"reason": self.reason, "day": self.day, "source": self.source, "offsets": ranges or None}
        return " ".join(f"{name} {value}" for name, value in named.items() if value is not None) or "all"

    def within(self, state: str | None) -> "Selection":
        """Return the same selection for letters of one state."""
        return replace(self, state=state)


def parse_offsets(text: str) -> tuple[tuple[int, int, int], ...]:
    """Return partition, first and last offset of each part of `0:17,2:5-9`.

    Raises:
        TieoutError: it is not of that form.
    """
    parts = [_OFFSETS.fullmatch(part.strip()) for part in text.split(",")]
    found = tuple((int(m[1]), int(m[2]), int(m[3] or m[2])) for m in parts if m)
    if len(found) != len(parts) or any(last < first for _, first, last in found):
        raise OptionError(
            f"{text!r} is not PARTITION:OFFSET, such as 0:17, 2:5-9 or 0:17,2:5-9.",
            NOTHING,
            "./scripts/tieout dlq list --letters shows the coordinates",
        )
    return found


def check_reason(code: str | None, contract: Contract) -> None:
    """Refuse a reason that the contract does not know.

    Raises:
        TieoutError: there is no such code.
    """
    if code is not None and code not in {rule.code for rule in contract.rules}:
        raise OptionError(
            f"the contract {contract.version} has no reason {code}.", NOTHING, "./scripts/tieout dlq list shows them"
        )


def where(selection: Selection, connection: Connection) -> tuple[sql.Composed, list[Any]]:
    """Return the condition on metadata.dead_letter_book, and its parameters."""
    parts: list[sql.Composable] = [sql.SQL("book = %s")]
    values: list[Any] = [selection.book]
    topic_id = selection.topic_id or (current_topic(connection) if selection.offsets else None)
    for text, value in (
        ("%s = any(reasons)", selection.reason),
        ("arrived_on = %s", selection.day),
        ("source = %s", selection.source),
        ("state = %s", selection.state),
        ("topic_id = %s", topic_id),
    ):
        if value is not None:
            parts.append(sql.SQL(text))
            values.append(value)
    if selection.offsets:
        ranges = [sql.SQL('(partition = %s and "offset" between %s and %s)')] * len(selection.offsets)
        parts.append(sql.SQL("({})").format(sql.SQL(" or ").join(ranges)))
        values += [number for triple in selection.offsets for number in triple]
    return sql.SQL(" and ").join(parts), values


def count_states(connection: Connection, selection: Selection) -> dict[str, int]:
    """Return how many letters there are by state; UNCONFIRMED are intents that no redrive has finished."""
    condition, values = where(selection, connection)
    query = sql.SQL(
        "select case when is_unconfirmed then 'UNCONFIRMED' else state end, count(*) "
        "from metadata.dead_letter_book where {} group by 1"
    ).format(condition)
    return dict(connection.execute(query, values).fetchall())


def select_letters(connection: Connection, selection: Selection) -> Iterator[list[Wanted]]:
    """Yield coordinates, day of arrival and reasons, some thousand at a time, in order."""
    condition, values = where(selection, connection)
    query = sql.SQL(
        "select topic_id, partition, \"offset\", arrived_on, array_to_string(reasons, ',') "
        "from metadata.dead_letter_book where {} order by 1, 2, 3"
    ).format(condition)
    with connection.transaction(), connection.cursor("letters") as cursor:
        cursor.execute(query, values)
        while rows := cursor.fetchmany(FETCHED):
            yield [Wanted(Coordinates(*row[:3]), row[3], row[4]) for row in rows]


def refuse_decided(connection: Connection, selection: Selection) -> None:
    """Refuse a selection by offsets that holds no letter, or one that is decided; intents in between are no decision.

    Raises:
        TieoutError: in words, with what became of the first of them.
    """
    condition, values = where(selection, connection)
    query = sql.SQL(
        'select topic_id, partition, "offset", state, decided_at, redriven_run, redriven_seq, successor_book, '
        "successor_partition, successor_offset from metadata.dead_letter_book "
        "where {} and state <> 'OPEN' and not is_unconfirmed order by 1, 2, 3 limit 1"
    ).format(condition)
    row = connection.execute(query, values).fetchone()
    if row:
        raise decided_error(row)
    if not count_states(connection, selection):
        raise TieoutError(
            f"there is no letter at {selection} in {selection.book}.",
            NOTHING,
            "./scripts/tieout dlq list --letters"
            + (" --rejected" if selection.book == REJECTED else "")
            + "; what no load has taken yet is not listed: ./scripts/tieout load",
        )


def decided_error(row: tuple[Any, ...]) -> TieoutError:
    """Return the refusal for a letter that was redriven or written off."""
    topic_id, partition, offset, state, at, run, seq, book, new_partition, new_offset = row
    letter = Coordinates(topic_id, partition, offset)
    if state == "WRITTEN_OFF":
        became = f"was written off at {at:%Y-%m-%d %H:%M:%S}Z and is out of the books for good"
    else:
        became = f"was redriven already, at {at:%Y-%m-%d %H:%M:%S}Z as event {seq} of feed {run}"
        stands = f"which is {new_partition}:{new_offset} in raw.{book}" if book else "which no load has taken yet"
        became = f"{became}, {stands}"
    return TieoutError(
        f"letter {letter} {became}.",
        f"a letter is redriven once: {NOTHING}",
        f"./scripts/tieout dlq show {letter}; --skip-decided leaves such letters out",
    )
