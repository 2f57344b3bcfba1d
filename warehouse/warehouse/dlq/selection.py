"""Which letters a command is about."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

from psycopg import sql

from contracts.entities import load_entities, load_entity
from contracts.model import PAYMENTS, Entity
from core.errors import OptionError, TieoutError
from warehouse.dlq.books import Connection, book_of, current_topic

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
    """Dead letters, or rejected events, by what is known of them.

    Attributes:
        entity: the name of the entity that they are of; None for every one.
        offsets: partition, first and last offset, each; they are of one topic.
        topic_id: None for all topics; with offsets, the one of the entity that is read now.
        state: OPEN, REDRIVEN, WRITTEN_OFF or None for all.
    """

    rejected: bool = False
    entity: str | None = None
    reason: str | None = None
    day: date | None = None
    source: str | None = None
    state: str | None = None
    offsets: tuple[tuple[int, int, int], ...] = ()
    topic_id: str | None = None

    def __str__(self) -> str:
        ranges = ",".join(f"{p}:{a}" if a == b else f"{p}:{a}-{b}" for p, a, b in self.offsets)
        entity = None if self.entity == PAYMENTS else self.entity
        named = {
            "entity": entity,
            "reason": self.reason,
            "day": self.day,
            "source": self.source,
            "offsets": ranges or None,
        }
        return " ".join(f"{name} {value}" for name, value in named.items() if value is not None) or "all"

    @property
    def entities(self) -> tuple[Entity, ...]:
        """The entities whose letters it may hold, payments first."""
        return load_entities() if self.entity is None else (load_entity(self.entity),)

    @property
    def book(self) -> str:
        """The book of its first entity."""
        return book_of(self.entities[0], rejected=self.rejected)

    def of(self, entity: Entity) -> "Selection":
        """Return the same selection for letters of one entity."""
        return replace(self, entity=entity.name)

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


def check_reason(code: str | None, entities: Sequence[Entity]) -> None:
    """Refuse a reason that no contract of the entities knows.

    Raises:
        TieoutError: there is no such code.
    """
    if code is not None and code not in {rule.code for entity in entities for rule in entity.rules}:
        named = " and ".join(f"of {entity.name} {entity.version}" for entity in entities)
        raise OptionError(
            f"the contract {named} has no reason {code}.", NOTHING, "./scripts/tieout dlq list shows them"
        )


def where(selection: Selection, connection: Connection) -> tuple[sql.Composed, list[Any]]:
    """Return the condition on metadata.dead_letter_book, and its parameters."""
    parts: list[sql.Composable] = [sql.SQL("book = any(%s)")]
    values: list[Any] = [[book_of(entity, rejected=selection.rejected) for entity in selection.entities]]
    topic_id = selection.topic_id
    if selection.offsets and topic_id is None:
        topic_id = current_topic(connection, selection.entities[0])
    for text, value in (
        ("entity = %s", selection.entity),
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
        'select topic_id, partition, "offset", entity, state, decided_at, redriven_run, redriven_seq, successor_book, '
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
            + options(selection)
            + "; what no load has taken yet is not listed: ./scripts/tieout load",
        )


def decided_error(row: tuple[Any, ...]) -> TieoutError:
    """Return the refusal for a letter that was redriven or written off."""
    topic_id, partition, offset, entity, state, at, run, seq, book, new_partition, new_offset = row
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
        f"./scripts/tieout dlq show {letter}{of_entity(entity)}; --skip-decided leaves such letters out",
    )


def of_entity(entity: str | None) -> str:
    """Return the option that names an entity; nothing for payments, which coordinates without it mean."""
    return "" if entity in {None, PAYMENTS} else f" --entity {entity}"


def options(selection: Selection) -> str:
    """Return the options with which a command looks at the same letters."""
    return (" --rejected" if selection.rejected else "") + of_entity(selection.entity)
