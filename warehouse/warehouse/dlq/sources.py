"""Where a redrive takes its letters from: the lake, as they are, or a file, as somebody has mended them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from contracts.entities import entity_names, load_entities, load_entity
from contracts.model import Entity
from core.errors import TieoutError
from core.lake import Lake
from warehouse.dlq.books import DEAD_LETTERS, Connection, book_of
from warehouse.dlq.lake import PAGE_BYTES, PAGE_LETTERS, Letter, open_letters
from warehouse.dlq.letter_file import open_letter_file, read_file, read_line
from warehouse.dlq.selection import (
    NOTHING,
    Coordinates,
    Selection,
    count_states,
    decided_error,
    options,
    refuse_decided,
    select_letters,
)

Page = list[tuple[Letter, bool]]
CHECKED = 1_000


@dataclass
class Opened:
    """Letters that are open, and for each whether somebody has changed it.

    Attributes:
        count: how many will be sent.
        gone_count: how many cannot be: the lake has their bytes no more; gone names the first of them.
    """

    count: int
    pages: Iterator[Page]
    gone_count: int = 0
    gone: list[Coordinates] = field(default_factory=list)


class Source(Protocol):
    """What a redrive asks of its letters.

    Attributes:
        rejected: they are rejected events, instead of dead letters.
    """

    rejected: bool

    def check(self, connection: Connection) -> list[Entity]:
        """Refuse what must not be sent, before anything is; return the entities of what is to be sent."""

    def open(self, connection: Connection, entity: Entity, /) -> AbstractContextManager[Opened]:
        """Open the letters of an entity that are to be sent."""


class FromLake:
    """The letters of a selection, with the bytes that the lake has.

    Args:
        skip_decided: leave out letters that were named by their offsets and are decided, instead of refusing.
    """

    def __init__(self, lake: Lake, selection: Selection, *, skip_decided: bool) -> None:
        self.rejected = selection.rejected
        self._lake, self._selection, self._skip_decided = lake, selection, skip_decided

    def __str__(self) -> str:
        return str(self._selection)

    def check(self, connection: Connection) -> list[Entity]:
        """Refuse letters that are decided; return the entities that have open ones.

        Raises:
            TieoutError: one that is named is decided, or all that are selected are.
        """
        if self._selection.offsets and not self._skip_decided:
            refuse_decided(connection, self._selection)
        states = {e.name: count_states(connection, self._selection.of(e)) for e in self._selection.entities}
        found = [e for e in self._selection.entities if states[e.name].keys() & {"OPEN", "UNCONFIRMED"}]
        counted = sum((Counter(each) for each in states.values()), Counter[str]())
        if counted and not found:
            told = ", ".join(f"{n} {state.lower().replace('_', ' ')}" for state, n in sorted(counted.items()))
            raise TieoutError(
                f"no letter of the selection {self} is open: {told}.",
                f"a letter is redriven once: {NOTHING}",
                "./scripts/tieout dlq list --state all" + options(self._selection),
            )
        return found

    @contextmanager
    def open(self, connection: Connection, entity: Entity, /) -> Iterator[Opened]:
        """Open the letters of an entity that are open."""
        wanted = select_letters(connection, self._selection.of(entity).within("OPEN"))
        with open_letters(self._lake, entity, wanted, rejected=self.rejected) as letters:
            pages = ([(letter, False) for letter in page] for page in letters.pages())
            yield Opened(letters.count - letters.gone_count, pages, letters.gone_count, letters.gone)


class FromFile:
    """The letters of a file that `dlq export` wrote and somebody edited.

    Args:
        skip_decided: leave out lines of letters that are decided, instead of refusing the file.
    """

    def __init__(self, file: Path, *, rejected: bool, skip_decided: bool) -> None:
        self.rejected = rejected
        self._file, self._skip_decided = file, skip_decided
        self._books = [book_of(entity, rejected=rejected) for entity in load_entities()]
        self._open: dict[str, list[int]] = {}

    def __str__(self) -> str:
        return f"file {self._file.name}"

    def check(self, connection: Connection) -> list[Entity]:
        """Read the whole file and refuse it when a line cannot be sent; return the entities of its letters.

        Raises:
            TieoutError: a line is not readable, comes twice, or its letter is unknown or decided.
        """
        seen: set[Coordinates] = set()
        batch: list[tuple[int, Coordinates]] = []
        with self._source() as source:
            for position, line in read_file(source, self._file):
                place = line.letter.place
                if place in seen:
                    raise self._refused(f"letter {place} is in {self._file} twice")
                if line.book not in self._books:
                    how = "" if self.rejected or line.book == DEAD_LETTERS else "with --rejected"
                    raise self._refused(f"{self._file} is of {line.book}", how)
                seen.add(place)
                batch.append((position, place))
                if len(batch) == CHECKED:
                    self._check_places(connection, batch)
                    batch = []
        self._check_places(connection, batch)
        return [load_entity(name) for name in sorted(self._open, key=entity_names().index)]

    @contextmanager
    def open(self, _: Connection, entity: Entity, /) -> Iterator[Opened]:
        """Open the lines of an entity whose letters are open."""
        positions = self._open.get(entity.name, [])
        with self._source() as source:
            yield Opened(len(positions), self._pages(source, positions))

    def _pages(self, source: BinaryIO, positions: list[int]) -> Iterator[Page]:
        page: Page = []
        size = 0
        for position in positions:
            source.seek(position)
            line = read_line(source.readline())
            page.append((line.letter, line.is_changed))
            size += len(line.letter.value or b"")
            if len(page) >= PAGE_LETTERS or size >= PAGE_BYTES:
                yield page
                page, size = [], 0
        if page:
            yield page

    @contextmanager
    def _source(self) -> Iterator[BinaryIO]:
        try:
            with open_letter_file(self._file) as source:
                yield source
        except OSError as error:
            raise TieoutError(
                f"{self._file} cannot be read: {error.strerror}.", NOTHING, "name a file of ./scripts/tieout dlq export"
            ) from None

    def _check_places(self, connection: Connection, batch: list[tuple[int, Coordinates]]) -> None:
        columns = [list(column) for column in zip(*(place for _, place in batch), strict=True)] if batch else [[]] * 3
        rows = connection.execute(
            """
            select w.topic_id, w.partition, w.place, b.entity, b.state, b.is_unconfirmed, b.decided_at, b.redriven_run,
                b.redriven_seq, b.successor_book, b.successor_partition, b.successor_offset
            from unnest(%s::text[], %s::int[], %s::bigint[]) as w (topic_id, partition, place)
            left join metadata.dead_letter_book b
                on b.book = any(%s) and (b.topic_id, b.partition, b."offset") = (w.topic_id, w.partition, w.place)
            """,
            [*columns, self._books],
        ).fetchall()
        found: dict[Coordinates, tuple[Any, ...]] = {Coordinates(*row[:3]): tuple(row[3:]) for row in rows}
        for position, place in batch:
            entity, state, is_unconfirmed, *decided = found[place]
            if state is None:
                books = " or ".join(dict.fromkeys(self._books))
                raise self._refused(f"letter {place} of {self._file} is not in {books}")
            if state == "OPEN":
                self._open.setdefault(entity, []).append(position)
            elif not is_unconfirmed and not self._skip_decided:
                raise decided_error((*place, entity, state, *decided))

    def _refused(self, what: str, how: str = "") -> TieoutError:
        following = f"./scripts/tieout dlq redrive --from {self._file} {how}".strip()
        return TieoutError(f"{what}.", NOTHING, f"mend the file, then {following}")
