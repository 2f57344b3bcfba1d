"""Mechanism X: a file is cut into chunks, one at a time on the second, each claimed before it is there."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from core import failpoints
from core.errors import TieoutError
from core.places import Place
from core.text import shown
from patterns.chunk_names import chunk_name
from patterns.claims import Claim, Claims
from patterns.input_file import Contents, InputFile, Piece
from patterns.waiting import Say, patiently

# A chunk that begins later than this after its second is late.
ON_TIME_SECONDS = 0.1


@dataclass(frozen=True)
class Clock:
    """Time, and how to let it pass.

    Attributes:
        now: seconds since 1970.
        pause: waits so many seconds, or until the work is to stop; returns whether to go on.
    """

    now: Callable[[], float]
    pause: Callable[[float], bool]


@dataclass(frozen=True)
class Made:
    """A chunk that is there now.

    Attributes:
        drift: seconds from the second on which it was due to its begin.
        at: when the store had it, seconds since 1970.
    """

    number: int
    name: str
    first_row: int
    rows: int
    drift: float
    at: float


@dataclass
class Summary:
    """What a run has done.

    Attributes:
        made: chunks that this run has put.
        found: chunks that were there already.
        late: chunks that began after their second, and were caught up.
        is_whole: the folder holds the whole input.
    """

    contents: Contents
    made: int = 0
    found: int = 0
    rows: int = 0
    last_rows: int = 0
    late: int = 0
    drifts: list[float] = field(default_factory=list)
    is_whole: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON types; drift in seconds."""
        found = asdict(self)
        drifts = sorted(found.pop("drifts"))
        found["drift_p50"] = round(drifts[len(drifts) // 2], 4) if drifts else None
        found["drift_max"] = round(drifts[-1], 4) if drifts else None
        return found


class Chunker:
    """Cuts one file into a folder of chunks.

    Args:
        source: the file.
        place: the folder's parent.
        folder: of the chunks, in the place.
        rows: of a chunk.
        every: seconds from the begin of one chunk to the begin of the next; 0: as fast as it goes.
        clock: time.
        say: takes a line for people.
        told: takes each chunk once the store has it.
    """

    def __init__(
        self,
        source: InputFile,
        place: Place,
        folder: str,
        *,
        rows: int,
        every: float,
        clock: Clock,
        say: Say,
        told: Callable[[Made], None] = lambda _: None,
    ) -> None:
        self._source, self._place, self._folder = source, place, folder
        self._claims = Claims(place, folder)
        self._rows, self._every, self._clock, self._say, self._told = rows, every, clock, say, told
        self._begin: float | None = None
        self._due = 0

    def run(self) -> Summary:
        """Make every chunk that is not there yet.

        Raises:
            TieoutError: the file cannot be cut, or the folder is another file's.
            OutageError: the store is away, and the work was told to stop.
        """
        contents = self._source.survey()
        self._patiently(lambda: self._require_own_folder(contents))
        claimed = self._patiently(self._claims.numbers)
        there = {each.name: each.size for each in self._patiently(lambda: self._place.entries(self._folder))}
        summary = Summary(contents)
        for piece in self._source.pieces(self._rows, contents):
            claim = self._patiently(partial(self._claims.find, piece.number)) if piece.number in claimed else None
            if claim is not None and there.get(claim.name) == len(piece.data):
                self._require_same(claim, piece)
                summary.found += 1
            else:
                drift = self._wait_for_its_second()
                if drift is None:
                    return summary
                self._make(piece, contents, drift, summary)
            summary.rows += piece.rows
            summary.last_rows = piece.rows
        summary.is_whole = True
        return summary

    def _make(self, piece: Piece, contents: Contents, drift: float, summary: Summary) -> None:
        claim = self._patiently(lambda: self._claims.make(self._wanted(piece, contents)))
        self._require_same(claim, piece)
        failpoints.reach("chunks.after-claim")
        self._patiently(lambda: self._put(claim, piece.data))
        made = Made(claim.number, claim.name, claim.first_row, claim.rows, drift, self._clock.now())
        self._told(made)
        failpoints.reach("chunks.after-put")
        summary.made += 1
        if self._every:
            summary.drifts.append(drift)
            summary.late += drift > ON_TIME_SECONDS

    def _wait_for_its_second(self) -> float | None:
        """Return how long after its second a chunk begins; None where the work is to stop."""
        if not self._every:
            return 0.0 if self._clock.pause(0) else None
        if self._begin is None:
            self._begin = float(math.ceil(self._clock.now()))
        due = self._begin + self._due * self._every
        self._due += 1
        ahead = due - self._clock.now()
        if not self._clock.pause(max(ahead, 0.0)):
            return None
        return max(self._clock.now() - due, 0.0)

    def _wanted(self, piece: Piece, contents: Contents) -> Claim:
        at = datetime.fromtimestamp(self._clock.now(), UTC)
        return Claim(
            number=piece.number,
            name=chunk_name(piece.number, piece.first_row, at),
            first_row=piece.first_row,
            rows=piece.rows,
            size=len(piece.data),
            sha256=_sha256(piece.data),
            input_size=contents.size,
            input_sha256=contents.sha256,
            input_rows=contents.rows,
            rows_a_chunk=self._rows,
        )

    def _put(self, claim: Claim, data: bytes) -> None:
        name = f"{self._folder}/{claim.name}"
        try:
            self._place.create(name, data)
        except FileExistsError:
            # Ours, when the store's answer was lost or this run came after another one.
            if self._place.read(name) != data:
                raise TieoutError(
                    f"{shown(self._place.url)}/{name} is there and holds other bytes than chunk {claim.number}.",
                    "that object and every earlier chunk stay as they are.",
                    "remove that object, then the same command again",
                ) from None

    def _require_own_folder(self, contents: Contents) -> None:
        first = self._claims.find(1)
        wanted = (contents.size, contents.sha256, self._rows)
        if first is None or first.input == wanted:
            return
        raise TieoutError(
            f"{shown(self._place.url)}/{self._folder} holds chunks of {first.rows_a_chunk} rows of a file with "
            f"{first.input_size} bytes and SHA-256 {first.input_sha256}; {shown(self._source.path)} has "
            f"{contents.size} bytes and SHA-256 {contents.sha256}, to be cut by {self._rows} rows.",
            "nothing was written.",
            "the same command with --to another folder",
        )

    def _require_same(self, claim: Claim, piece: Piece) -> None:
        if (claim.first_row, claim.rows, claim.sha256) == (piece.first_row, piece.rows, _sha256(piece.data)):
            return
        raise TieoutError(
            f"the claim of chunk {claim.number} is of {claim.rows} rows from row {claim.first_row}, with other bytes "
            f"than the {piece.rows} rows from row {piece.first_row} of {shown(self._source.path)}.",
            "every chunk that is there stays.",
            "the same command with --to another folder",
        )

    def _patiently(self, action: Callable[[], Any]) -> Any:
        return patiently(action, self._say, self._clock.pause)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
