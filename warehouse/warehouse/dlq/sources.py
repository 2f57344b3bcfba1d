"""Where a redrive takes its letters from: the lake, as they are, or a file, as somebody has mended them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from core.errors import TieoutError
from core.lake import Lake
from warehouse.dlq.books import REJECTED, Connection
from warehouse.dlq.lake import PAGE_BYTES, PAGE_LETTERS, Letter, open_letters
from warehouse.dlq.letter_file import open_letter_file, read_file, read_line
from warehouse.dlq.selection import (
    NOTHING,
    Coordinates,
    Selection,
    count_states,
    decided_error,
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
    """What a redrive asks of its letters."""

    book: str

    def check(self, connection: Connection) -> None:
        """Refuse what must not be sent, before anything is."""

    def open(self, _: Connection, /) -> AbstractContextManager[Opened]:
        """Open the letters that are to be sent."""


class FromLake:
    """The letters of a selection, with the bytes that the lake has.

    Args:
        skip_decided: leave out letters that were named by their offsets and are decided, instead of refusing.
    """

    def __init__(self, lake: Lake, selection: Selection, *, skip_decided: bool) -> None:
        self.book = selection.book
        self._lake, self._selection, self._skip_decided = lake, selection, skip_decided

    def __str__(self) -> str:
        return str(self._selection)

    def check(self, connection: Connection) -> None:
        """Refuse letters that are decided.

        Raises:
            TieoutError: one that is named is decided, or all that are selected are.
        """
        if self._selection.offsets and not self._skip_decided:
            refuse_decided(connection, self._selection)
        states = count_states(connection, self._selection)
        if states and not states.keys() & {"OPEN", "UNCONFIRMED"}:
            told = ", ".join(f"{n} {state.lower().replace('_', ' ')}" for state, n in sorted(states.items()))
            raise TieoutError(
                f"no letter of the selection {self} is open: {told}.",
                f"a letter is redriven once: {NOTHING}",
                "./scripts/tieout dlq list --state all" + (" --rejected" if self.book == REJECTED else ""),
            )

    @contextmanager
    def open(self, connection: Connection, /) -> Iterator[Opened]:
        """Open the letters that are open."""
        wanted = select_letters(connection, self._selection.within("OPEN"))
        with open_letters(self._lake, self.book, wanted) as letters:
            pages = ([(letter, False) for letter in page] for page in letters.pages())
            yield Opened(letters.count - letters.gone_count, pages, letters.gone_count, letters.gone)


class FromFile:
    """The letters of a file that `dlq export` wrote and somebody edited.

    Args:
        skip_decided: leave out lines of letters that are decided, instead of refusing the file.
    """

    def __init__(self, file: Path, book: str, *, skip_decided: bool) -> None:
        self.book = book
        self._file, self._skip_decided = file, skip_decided
        self._open: list[int] = []

    def __str__(self) -> str:
        return f"file {self._file.name}"

    def check(self, connection: Connection) -> None:
        """Read the whole file and refuse it when a line cannot be sent.

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
                if line.book != self.book:
                    raise self._refused(
                        f"{self._file} is of {line.book}", "with --rejected" if line.book == REJECTED else ""
                    )
                seen.add(place)
                batch.append((position, place))
                if len(batch) == CHECKED:
                    self._check_places(connection, batch)
                    batch = []
        self._check_places(connection, batch)

    @contextmanager
    def open(self, _: Connection, /) -> Iterator[Opened]:
        """Open the lines whose letters are open."""
        with self._source() as source:
            yield Opened(len(self._open), self._pages(source))

    def _pages(self, source: BinaryIO) -> Iterator[Page]:
        page: Page = []
        size = 0
        for position in self._open:
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
            select w.topic_id, w.partition, w.place, b.state, b.is_unconfirmed, b.decided_at, b.redriven_run,
                b.redriven_seq, b.successor_book, b.successor_partition, b.successor_offset
            from unnest(%s::text[], %s::int[], %s::bigint[]) as w (topic_id, partition, place)
            left join metadata.dead_letter_book b
                on b.book = %s and (b.topic_id, b.partition, b."offset") = (w.topic_id, w.partition, w.place)
            """,
            [*columns, self.book],
        ).fetchall()
        found: dict[Coordinates, tuple[Any, ...]] = {Coordinates(*row[:3]): tuple(row[3:]) for row in rows}
        for position, place in batch:
            state, is_unconfirmed, *decided = found[place]
            if state is None:
                raise self._refused(f"letter {place} of {self._file} is not in {self.book}")
            if state == "OPEN":
                self._open.append(position)
            elif not is_unconfirmed and not self._skip_decided:
                raise decided_error((*place, state, *decided))

    def _refused(self, what: str, how: str = "") -> TieoutError:
        following = f"./scripts/tieout dlq redrive --from {self._file} {how}".strip()
        return TieoutError(f"{what}.", NOTHING, f"mend the file, then {following}")
