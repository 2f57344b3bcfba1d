"""What can go wrong in the gateway, each with its data as attributes."""

import shlex
from pathlib import Path

from core.errors import TieoutError
from core.text import shown


class KaggleFileError(TieoutError):
    """A file of card transactions cannot be read as a whole, or holds more bad rows than allowed."""


class BrokerError(TieoutError):
    """The broker refuses what the gateway asks of it; trying again would not help."""


class MessageError(TieoutError):
    """One event cannot be sent, whatever the broker does."""

    def __init__(self, number: int, problem: str) -> None:
        super().__init__(
            f"event {number} cannot be sent: {problem}.", "the events before it are under way.", "mend the event."
        )
        self.number = number


class BrokenFeedError(TieoutError):
    """A feed broke off while it was sent; all of it that was built was delivered and its control total closed.

    Args:
        events: how many were built before.
        cause: what went wrong.
    """

    def __init__(self, events: int, cause: Exception) -> None:
        what = cause.what.rstrip(".") if isinstance(cause, TieoutError) else f"{type(cause).__name__}: {shown(cause)}"
        super().__init__(
            f"the feed broke off behind event {events}: {what}.",
            f"the broker has these {events} events and their closing control total." if events else "nothing was sent.",
            cause.next if isinstance(cause, TieoutError) else "check the options, and the file if there is one.",
        )
        self.events = events


class UndeliveredError(TieoutError):
    """The gateway had to end while the broker had not acknowledged every event."""

    def __init__(self, count: int, file: Path, reason: str) -> None:
        super().__init__(
            f"{count} events were not acknowledged by the broker: {reason}.",
            f"they are saved in {shown(file)}.",
            _resend(file),
        )
        self.count = count
        self.file = file


class ClosingTotalError(TieoutError):
    """Every event is delivered, but the broker has not taken the feed's closing control total."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(
            f"the closing control total was not acknowledged by the broker: {reason}.",
            f"every event is acknowledged; the total is saved in {shown(file)}. Until it is sent, the proof says OPEN.",
            _resend(file),
        )
        self.file = file


class StoppedEarlyError(TieoutError):
    """A bounded run was stopped by a signal; everything that it built was delivered."""

    def __init__(self, payments: int, total: int | None) -> None:
        of = f" of {total}" if total is not None else ""
        super().__init__(
            f"stopped by a signal after {payments}{of} payments.",
            "every event that was built is acknowledged by the broker.",
            "the same command with the same --seed and --start sends all again; those sent before count as duplicates.",
        )


class DatasetError(TieoutError):
    """The public data set could not be fetched or is not what it should be."""


class ResendFileError(TieoutError):
    """A file named by --resend cannot be read, or could not be removed afterwards; none of it was sent."""

    def __init__(self, file: Path, problem: str, next: str = "", line: int | None = None) -> None:
        where = f" line {line}" if line else ""
        super().__init__(
            f"{shown(file)}{where}: {problem}.",
            "nothing was sent.",
            next or "ls data/undelivered/ shows the files there are to resend.",
        )


class LeftoverError(TieoutError):
    """Everything of a file named by --resend is delivered, but the file cannot be removed."""

    def __init__(self, file: Path, problem: str) -> None:
        super().__init__(
            f"{shown(file)} cannot be removed: {problem}.",
            "the broker has all of its events; do not send them again: each would be a duplicate.",
            f"rm -- {_quoted(file)}",
        )
        self.file = file


class SaveError(TieoutError):
    """Events that the broker does not have could not be written to a file either."""

    def __init__(self, count: int, file: Path, problem: str, rebuild: str) -> None:
        super().__init__(
            f"{count} events were not acknowledged and cannot be saved in {shown(file)}: {problem}.",
            "no half-written file is left; what was acknowledged is in Kafka.",
            f"{rebuild} builds the same events again.",
        )
        self.count = count


def _quoted(file: Path) -> str:
    """Return a path as a shell takes it back from the screen."""
    return shown(shlex.quote(str(file)))


def _resend(file: Path) -> str:
    return f"./scripts/tieout produce --resend {_quoted(file)}"
