"""The chunks of a folder, in the order of their numbers: what is next, what is missing, what is there twice."""

import csv
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.places import Entry, Place
from core.text import shown
from patterns.bad_chunk import BadChunkError, Problem
from patterns.chunk_names import ChunkName, parse_chunk_name
from patterns.claims import Claim, Claims
from patterns.ledger import Applied
from patterns.spark import CHUNK_COLUMNS

# Everything is listed anew so often; in between only what comes after the newest chunk that counts.
WHOLE_LISTING = timedelta(seconds=5)


@dataclass(frozen=True)
class Listed:
    """A chunk's object as the store lists it.

    Attributes:
        seen_at: when it was first listed.
    """

    name: ChunkName
    entry: Entry
    seen_at: datetime


@dataclass(frozen=True)
class Fetched:
    """A chunk's bytes, which are what its claim says.

    Attributes:
        claim: None in a folder without claims.
        header: the names of its columns.
    """

    listed: Listed
    data: bytes
    sha256: str
    claim: Claim | None
    header: tuple[str, ...]


class Inbox:
    """A folder of chunks.

    Args:
        place: where it is.
        folder: its name there.
        applied: the chunks that count, by number; it grows while they do.
        now: the time.
    """

    def __init__(self, place: Place, folder: str, applied: Mapping[int, Applied], now: Callable[[], datetime]) -> None:
        self._place, self._folder, self._applied, self._now = place, folder, applied, now
        self._claims = Claims(place, folder)
        self._listed: dict[str, Listed] = {}
        self._whole_at: datetime | None = None
        self._is_claimed = False
        self._checked: dict[str, str] = {each.name: each.version for each in applied.values()}

    def look(self) -> bool:
        """List what is there now; return whether everything was listed, and not only what is new."""
        now = self._now()
        is_whole = self._whole_at is None or now - self._whole_at >= WHOLE_LISTING
        newest = self._applied[max(self._applied)].name if self._applied and not is_whole else ""
        entries = self._place.entries(self._folder, newest)
        if is_whole:
            self._whole_at = now
            self._listed = {each.name: self._listed[each.name] for each in entries if each.name in self._listed}
        for entry in entries:
            name = parse_chunk_name(entry.name)
            known = self._listed.get(entry.name)
            if name and (known is None or known.entry != entry):
                self._listed[entry.name] = Listed(name, entry, known.seen_at if known else now)
        return is_whole

    def waiting(self, number: int) -> list[Listed]:
        """Return the chunks that come after a number, in order."""
        found = (each for each in self._listed.values() if each.name.number > number)
        return sorted(found, key=lambda each: each.name.number)

    def fetch(self, number: int, next_row: int) -> Fetched | None:
        """Return a chunk; None where it is not there yet.

        Args:
            next_row: the row that it has to begin with.

        Raises:
            BadChunkError: what is there cannot count.
            OutageError: the store is away.
        """
        there = sorted((each for each in self._listed.values() if each.name.number == number), key=_by_name)
        if not there:
            return None
        claim = self._claim(number)
        if claim is None:
            self._require_unclaimed_folder(there[0])
            listed = self._only(there)
        else:
            claimed = [each for each in there if each.name.text == claim.name]
            if not claimed:
                return None
            listed = claimed[0]
        try:
            data = self._place.read(f"{self._folder}/{listed.name.text}")
        except FileNotFoundError:
            return None
        sha256 = hashlib.sha256(data).hexdigest()
        _require_whole(listed, data, sha256, claim)
        if listed.name.first_row != next_row:
            raise _bad(
                Problem.OUT_OF_ORDER, listed, f"begins with row {listed.name.first_row}, and row {next_row} comes next"
            )
        return Fetched(listed, data, sha256, claim, _header(listed, data))

    def doubled(self) -> list[tuple[ChunkName, str]]:
        """Return the objects that have the number of a chunk that counts, and that chunk's name."""
        return [
            (each.name, self._applied[each.name.number].name)
            for each in self._listed.values()
            if each.name.number in self._applied and self._applied[each.name.number].name != each.name.text
        ]

    def replaced(self) -> list[tuple[Applied, str]]:
        """Return the chunks that hold other bytes than when they were read, and the SHA-256 of what they hold now."""
        found = []
        for chunk in self._applied.values():
            listed = self._listed.get(chunk.name)
            known = self._checked.setdefault(chunk.name, chunk.version)
            if listed is None or listed.entry.version == known:
                continue
            try:
                sha256 = hashlib.sha256(self._place.read(f"{self._folder}/{chunk.name}")).hexdigest()
            except FileNotFoundError:
                continue
            self._checked[chunk.name] = listed.entry.version
            if sha256 != chunk.sha256:
                found.append((chunk, sha256))
        return found

    def _claim(self, number: int) -> Claim | None:
        claim = self._claims.find(number)
        self._is_claimed = self._is_claimed or claim is not None or self._claims.find(1) is not None
        return claim

    def _require_unclaimed_folder(self, listed: Listed) -> None:
        if self._is_claimed:
            raise _bad(Problem.UNCLAIMED, listed, "has no claim, and the other chunks of its folder have one each")

    def _only(self, there: list[Listed]) -> Listed:
        """Return the one chunk of a number; equal copies are one."""
        if len(there) > 1:
            hashes = {hashlib.sha256(self._place.read(f"{self._folder}/{each.name.text}")).digest() for each in there}
            if len(hashes) > 1:
                names = ", ".join(each.name.text for each in there)
                raise BadChunkError(
                    Problem.DOUBLED,
                    f"chunk {there[0].name.number}",
                    f"chunk {there[0].name.number} is there {len(there)} times with different bytes, and nothing says "
                    f"which counts: {names}",
                )
        return there[0]


def _by_name(listed: Listed) -> str:
    return listed.name.text


def _require_whole(listed: Listed, data: bytes, sha256: str, claim: Claim | None) -> None:
    if not data.strip():
        raise _bad(Problem.EMPTY, listed, "is empty")
    if b"\0" in data:
        raise _bad(Problem.HEADER, listed, "holds a NUL byte: UTF-16, or no text")
    if claim is not None and sha256 != claim.sha256:
        what = f"has {len(data)} bytes, and its claim says {claim.size}"
        kind = Problem.CUT_OFF if len(data) < claim.size else Problem.REPLACED
        raise _bad(kind, listed, what if len(data) != claim.size else "has other bytes than its claim says")
    if not data.endswith(b"\n"):
        raise _bad(Problem.CUT_OFF, listed, "ends in the middle of a line")
    if not data.partition(b"\n")[2].strip():
        raise _bad(Problem.EMPTY, listed, "has a header and no row")


def _header(listed: Listed, data: bytes) -> tuple[str, ...]:
    line = data.partition(b"\n")[0].decode("utf-8-sig", "replace").rstrip("\r")
    names = tuple(name.strip().strip("'") for name in next(csv.reader([line]), []))
    doubled = sorted({name for name in names if names.count(name) > 1})
    missing = [name for name in CHUNK_COLUMNS if name not in names]
    if doubled:
        raise _bad(Problem.HEADER, listed, f"has two columns {shown(doubled[0])}")
    if missing:
        raise _bad(Problem.HEADER, listed, f"has no column {', '.join(missing)}")
    return names


def _bad(kind: Problem, listed: Listed, what: str) -> BadChunkError:
    return BadChunkError(kind, listed.name.text, f"chunk {listed.name.number}, {listed.name.text}, {what}")
