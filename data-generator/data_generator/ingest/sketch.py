"""A sketch of a file's rows: the smallest hashes of them, by which two files that share rows are known.

Of two files the smallest hashes of both together are a random sample of all their rows (bottom-k, Cohen and Kaplan
2007): the share of the sample that both have is the share of all rows that both have.
"""

from collections.abc import Iterable
from hashlib import blake2b
from heapq import heappush, heappushpop

_SIZE = 8


class Sketch:
    """Collects the smallest hashes.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int = 2_048) -> None:
        self._most = most
        self._kept: set[int] = set()
        self._largest_first: list[int] = []

    def add(self, row: bytes) -> None:
        """Add a row; equal rows count once."""
        number = int.from_bytes(blake2b(row, digest_size=_SIZE, person=b"tieout-sketch").digest())
        if number in self._kept:
            return
        if len(self._largest_first) < self._most:
            heappush(self._largest_first, -number)
        elif number < -self._largest_first[0]:
            self._kept.discard(-heappushpop(self._largest_first, -number))
        else:
            return
        self._kept.add(number)

    def as_bytes(self) -> bytes:
        """Return the hashes in ascending order, eight bytes each."""
        return b"".join(number.to_bytes(_SIZE) for number in sorted(self._kept))


def shared_percent(mine: bytes, theirs: bytes, most: int = 2_048) -> int:
    """Return about how many percent of the rows of one file are in another one, both without their equal rows.

    Args:
        mine: the sketch of the one.
        theirs: the sketch of the other.
        most: how many hashes the sketches keep.
    """
    own, other = set(_hashes(mine)), set(_hashes(theirs))
    # A full sketch says nothing of hashes above its largest one.
    limit = min((max(each) for each in (own, other) if len(each) >= most), default=None)
    seen = {number for number in own if limit is None or number <= limit}
    return round(100 * len(seen & other) / len(seen)) if seen else 0


def _hashes(sketch: bytes) -> Iterable[int]:
    return (int.from_bytes(sketch[at : at + _SIZE]) for at in range(0, len(sketch), _SIZE))
