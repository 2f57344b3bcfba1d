"""A chunk that cannot count as it is: it is named, it waits, and so do those after it."""

from enum import StrEnum


class Problem(StrEnum):
    """What can be wrong, as `patterns.findings` names it."""

    GAP = "GAP"
    EMPTY = "EMPTY"
    CUT_OFF = "CUT_OFF"
    HEADER = "HEADER"
    DOUBLED = "DOUBLED"
    UNCLAIMED = "UNCLAIMED"
    OUT_OF_ORDER = "OUT_OF_ORDER"
    REPLACED = "REPLACED"
    WEIGHTS = "WEIGHTS"


class BadChunkError(Exception):
    """A chunk cannot be read, or is not what it should be.

    Args:
        kind: what is wrong.
        subject: which object, or chunk.
        says: for people; no text of a row.
    """

    def __init__(self, kind: Problem, subject: str, says: str) -> None:
        super().__init__(says)
        self.kind, self.subject, self.says = kind, subject, says
