"""What can go wrong in the gateway, each with its data as attributes."""

from pathlib import Path

from core.errors import TieoutError


class KaggleFileError(TieoutError):
    """A file of card transactions cannot be read as a whole, or holds more bad rows than allowed."""


class BrokerError(TieoutError):
    """The broker refuses what the gateway asks of it; trying again would not help."""


class SettingMissingError(TieoutError):
    """A secret that the gateway needs is set nowhere."""

    def __init__(self, name: str, places: str) -> None:
        super().__init__(
            f"{name} is not set (looked in {places}).",
            "nothing was sent.",
            "./scripts/setup.sh makes all secrets, once.",
        )
        self.name = name


class UndeliveredError(TieoutError):
    """The gateway had to end while the broker had not acknowledged every event."""

    def __init__(self, count: int, file: Path, reason: str) -> None:
        super().__init__(
            f"{count} events were not acknowledged by the broker: {reason}.",
            f"they are saved in {file}.",
            f"./scripts/tieout produce --resend {file}",
        )
        self.count = count
        self.file = file


class ClosingTotalError(TieoutError):
    """Every event is delivered, but the broker has not taken the feed's closing control total."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(
            f"the closing control total was not acknowledged by the broker: {reason}.",
            f"every event is acknowledged; the total is saved in {file}. Until it is sent, the proof says OPEN.",
            f"./scripts/tieout produce --resend {file}",
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
    """A file named by --resend cannot be read; none of it was sent."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(
            f"{where}: {problem}.", "nothing was sent.", "ls data/undelivered/ shows the files there are to resend."
        )


class SaveError(TieoutError):
    """Events that the broker does not have could not be written to a file either."""

    def __init__(self, count: int, file: Path, problem: str, rebuild: str) -> None:
        super().__init__(
            f"{count} events were not acknowledged and cannot be saved in {file}: {problem}.",
            "no half-written file is left; what was acknowledged is in Kafka.",
            f"{rebuild} builds the same events again.",
        )
        self.count = count
