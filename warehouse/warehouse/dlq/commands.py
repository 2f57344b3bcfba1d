"""What the commands do: settings in, a plain dictionary out."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from contracts.entities import entity_names
from contracts.model import PAYMENTS, Entity
from core.errors import OptionError, TieoutError
from core.lake import Lake
from core.layout import find_layout
from core.settings import Settings, load_settings
from core.text import shown, shown_lines
from warehouse.dlq import listing
from warehouse.dlq.books import book_of, log_unmask, open_books
from warehouse.dlq.lake import Letters, open_letters
from warehouse.dlq.letter_file import as_line, write_letters
from warehouse.dlq.redrive import redrive
from warehouse.dlq.selection import (
    NOTHING,
    STATES,
    Selection,
    check_reason,
    count_states,
    options,
    parse_offsets,
    select_letters,
)
from warehouse.dlq.sender import Sender
from warehouse.dlq.show import chain, meanings, view_bytes
from warehouse.dlq.sources import FromFile, FromLake, Source
from warehouse.dlq.write_off import write_off

SAY_EVERY_SECONDS = 10.0
GROUPS = ("reason", "day", "source", "state")


def select(
    *,
    rejected: bool,
    entity: str | None = None,
    reason: str | None = None,
    day: date | None = None,
    source: str | None = None,
    offsets: str | None = None,
    state: str = "all",
) -> Selection:
    """Return a selection from the words of the command line. Coordinates without an entity are the payments'.

    Raises:
        TieoutError: a word is not one of those there are.
    """
    if entity not in (None, *entity_names()):
        raise OptionError(f"{shown(entity)} is no entity.", NOTHING, f"--entity {' or '.join(entity_names())}")
    if state not in {*STATES, "all"}:
        raise OptionError(f"{state!r} is no state.", NOTHING, f"--state {', '.join(STATES)} or all")
    selection = Selection(
        rejected=rejected,
        entity=PAYMENTS if entity is None and offsets is not None else entity,
        reason=reason,
        day=day,
        source=source,
        state=STATES.get(state),
        offsets=() if offsets is None else parse_offsets(offsets),
    )
    check_reason(reason, selection.entities)
    return selection


def list_letters(selection: Selection, *, by: str, letters: bool, limit: int) -> dict[str, Any]:
    """Return groups of letters, or single ones, and how many there are by state."""
    groups = tuple(word.strip() for word in by.split(",") if word.strip())
    if not groups or set(groups) - set(GROUPS):
        raise OptionError(f"{by!r} is not a list of {', '.join(GROUPS)}.", NOTHING, "--by reason,day")
    with open_books(load_settings()) as connection:
        states = count_states(connection, selection.within(None))
        listed = listing.list_groups(connection, selection, by=groups)
        found: dict[str, Any] = {"book": _book(selection, listed), "states": states, "by": list(groups)}
        found["groups"] = listed
        if letters:
            found["letters"] = listing.list_letters(connection, selection, limit)
    return found


def _book(selection: Selection, listed: list[dict[str, Any]]) -> str:
    """Return the book of what is listed, or each of them; that of the first entity where nothing is."""
    found = [each for each in selection.entities if any(group["entity"] == each.name for group in listed)]
    books = [book_of(entity, rejected=selection.rejected) for entity in found or selection.entities[:1]]
    return ", ".join(dict.fromkeys(books))


def show_letter(selection: Selection, *, unmask: bool) -> dict[str, Any]:
    """Return one letter with its bytes, masked unless asked otherwise, its reasons in words and its chain."""
    layout, entity = find_layout(), selection.entities[0]
    (_, first, last) = selection.offsets[0]
    if len(selection.offsets) != 1 or first != last:
        raise TieoutError("show takes one letter, such as 0:17.", NOTHING, "./scripts/tieout dlq list --letters")
    settings = load_settings(layout)
    with open_books(settings) as connection:
        found = listing.list_letters(connection, selection, 1)
        if not found:
            raise TieoutError(
                f"there is no letter {selection.offsets[0][0]}:{first} in {selection.book}.",
                NOTHING,
                f"./scripts/tieout dlq list --letters{options(selection)}; what no load has taken yet is not listed",
            )
        letter = found[0]
        if unmask:
            log_unmask(connection, "show", selection.book, str(selection), 1)
        links = chain(connection, letter)
        wanted = select_letters(connection, selection)
        with open_letters(Lake.of(settings, layout), entity, wanted, rejected=selection.rejected) as letters:
            pages = [letter for page in letters.pages() for letter in page]
    seen = view_bytes(pages[0], entity, unmask=unmask) if pages else None
    return {
        **letter,
        "meanings": meanings(letter["reasons"], entity),
        "content": seen,
        "is_masked": not unmask,
        "chain": [_link(link) for link in links],
    }


def _link(letter: dict[str, Any]) -> dict[str, Any]:
    kept = ("letter", "book", "reasons", "state", "is_unconfirmed", "redriven", "successor")
    return {name: letter[name] for name in kept}


def export(selection: Selection, file: Path) -> dict[str, Any]:
    """Write the open letters of a selection to a file; it is logged first."""
    layout = find_layout()
    settings = load_settings(layout)
    lake = Lake.of(settings, layout)
    with open_books(settings) as connection, ExitStack() as stack:
        opened: list[tuple[Entity, Letters]] = []
        for entity in selection.entities:
            wanted = select_letters(connection, selection.of(entity).within("OPEN"))
            letters = stack.enter_context(open_letters(lake, entity, wanted, rejected=selection.rejected))
            if letters.count:
                opened.append((entity, letters))
        if not opened:
            raise TieoutError(
                f"no letter of the selection {selection} is open.", NOTHING, "./scripts/tieout dlq list --state all"
            )
        for entity, letters in opened:
            book = book_of(entity, rejected=selection.rejected)
            log_unmask(connection, "export", book, str(selection.of(entity)), letters.count - letters.gone_count)
        count = write_letters(file, _lines(opened, selection))
        gone = sum(letters.gone_count for _, letters in opened)
        books = dict.fromkeys(book_of(entity, rejected=selection.rejected) for entity, _ in opened)
    if gone:
        _say(f"{gone} letters are not in the file: retention has removed their bytes from the lake.")
    return {
        **{"ok": not gone, "file": str(file), "letters": count, "bytes_gone": gone, "book": ", ".join(books)},
        "entities": [entity.name for entity, _ in opened],
        "rejected": selection.rejected,
    }


def _lines(opened: Iterable[tuple[Entity, Letters]], selection: Selection) -> Iterator[bytes]:
    for entity, letters in opened:
        book = book_of(entity, rejected=selection.rejected)
        yield from (as_line(letter, book, entity.name) for page in letters.pages() for letter in page)


def redrive_letters(
    selection: Selection, *, file: Path | None, chosen: bool, dry_run: bool, skip_decided: bool
) -> dict[str, Any]:
    """Put letters back; with neither file nor choice only finish what was left."""
    layout = find_layout()
    settings = load_settings(layout)
    source = _source(Lake.of(settings, layout), selection, file=file, chosen=chosen, skip_decided=skip_decided)
    with open_books(settings) as connection:
        return redrive(connection, source, partial(_sender, settings), say=_say, show=_Progress(), dry_run=dry_run)


def _sender(settings: Settings, entity: Entity) -> Sender:
    return Sender(settings.kafka_place, settings.kafka_password("redrive", NOTHING), entity)


def _source(lake: Lake, selection: Selection, *, file: Path | None, chosen: bool, skip_decided: bool) -> Source | None:
    if file is not None:
        return FromFile(file, rejected=selection.rejected, skip_decided=skip_decided)
    return FromLake(lake, selection, skip_decided=skip_decided) if chosen else None


def write_off_letters(selection: Selection, reason: str, name: str, *, dry_run: bool) -> dict[str, Any]:
    """Write off the open letters of a selection."""
    with open_books(load_settings()) as connection:
        return write_off(connection, selection, reason, name, dry_run=dry_run)


def _say(line: str) -> None:
    sys.stderr.write(f"{shown_lines(line)}\n")


class _Progress:
    """Says how far it is, a line every ten seconds; a terminal gets one line that moves."""

    def __init__(self) -> None:
        self._moves = sys.stderr.isatty()
        self._said = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        now = time.monotonic()
        if self._moves:
            sys.stderr.write(f"\r{done:,} of {of:,} letters" + ("\n" if done >= of else ""))
            sys.stderr.flush()
        elif now - self._said >= SAY_EVERY_SECONDS:
            self._said = now
            _say(f"{done:,} of {of:,} letters")
