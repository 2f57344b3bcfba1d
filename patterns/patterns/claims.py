"""Claims: who makes a chunk first claims its number, by an object that is written once and holds the chunk's name."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from core.errors import TieoutError
from core.places import Place
from core.text import shown
from patterns.chunk_names import parse_chunk_name


@dataclass(frozen=True)
class Claim:
    """What is promised of a chunk before it is there.

    Attributes:
        number: of the chunk, from 1.
        name: of the chunk's file.
        first_row: how many rows of the input come before.
        rows: how many the chunk has.
        size: of the chunk, bytes.
        sha256: of the chunk.
        input_size: bytes of the whole input.
        input_sha256: of the whole input.
        input_rows: of the whole input.
        rows_a_chunk: of every chunk but the last.
    """

    number: int
    name: str
    first_row: int
    rows: int
    size: int
    sha256: str
    input_size: int
    input_sha256: str
    input_rows: int
    rows_a_chunk: int

    @property
    def is_last(self) -> bool:
        """Whether the input ends with this chunk."""
        return self.first_row + self.rows == self.input_rows

    @property
    def input(self) -> tuple[int, str, int]:
        """What must be the same for every chunk of a folder: size and hash of the input, rows of a chunk."""
        return self.input_size, self.input_sha256, self.rows_a_chunk


class Claims:
    """The claims of a folder of chunks, in a folder of their own beside it.

    Args:
        place: where both are.
        folder: of the chunks.
    """

    def __init__(self, place: Place, folder: str) -> None:
        self._place, self.folder = place, f"{folder}_claims"

    def numbers(self) -> set[int]:
        """Return the numbers that are claimed."""
        names = (each.name.removesuffix(".json") for each in self._place.entries(self.folder))
        return {int(name) for name in names if name.isdecimal()}

    def find(self, number: int) -> Claim | None:
        """Return the claim of a number; None where there is none.

        Raises:
            TieoutError: what is there is no claim.
        """
        try:
            data = self._place.read(self._name(number))
        except FileNotFoundError:
            return None
        return _parsed(data, f"{self._place.url}/{self._name(number)}")

    def make(self, claim: Claim) -> Claim:
        """Claim a number; return the claim that it has now, which may be an earlier one."""
        data = json.dumps(asdict(claim), indent=1).encode()
        try:
            self._place.create(self._name(claim.number), data)
        except FileExistsError:
            return self.find(claim.number) or claim
        return claim

    def _name(self, number: int) -> str:
        return f"{self.folder}/{number:09}.json"


def _parsed(data: bytes, where: str) -> Claim:
    try:
        values: dict[str, Any] = json.loads(data)
        found = Claim(**{each.name: each.type(values[each.name]) for each in fields(Claim)})  # type: ignore[operator]
        name = parse_chunk_name(found.name)  # the name of a file that is about to be written
        if name is None or (name.number, name.first_row) != (found.number, found.first_row):
            raise ValueError(found.name)
        return found
    except (ValueError, KeyError, TypeError):
        raise TieoutError(
            f"{shown(where)} is no claim of a chunk.",
            "nothing was written.",
            "take another folder with --to; nobody else may write beside the chunks",
        ) from None
