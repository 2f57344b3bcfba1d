"""What can go wrong with a file or its mapping, each with its data as attributes."""

from pathlib import Path

from core.errors import OptionError, RefusalError, TieoutError
from core.text import shown

NOTHING_SENT = "nothing was sent."


class MappingError(OptionError):
    """A mapping is not there, or cannot be used as it is written.

    Args:
        where: the file, with the line where there is one.
    """

    def __init__(self, where: str, what: str, next: str) -> None:
        super().__init__(f"{shown(where)}: {what}.", NOTHING_SENT, next)


class SourceError(TieoutError):
    """A file cannot be read as a whole: it is not there, damaged, or not what its mapping says.

    Args:
        file: its name.
        line: where it goes wrong, from 1.
    """

    def __init__(self, file: str, what: str, next: str, line: int | None = None) -> None:
        where = f" line {line}" if line else ""
        super().__init__(f"{shown(file)}{where}: {what}.", NOTHING_SENT, next)
        self.file = file
        self.line = line


class BadRowsError(TieoutError):
    """A file has more rows that cannot be sent than the caller allows.

    Args:
        file: its name.
        count: how many.
        first: what is wrong with the first of them, a line each.
        allowed: how many were.
    """

    def __init__(self, file: str, count: int, first: list[str], allowed: int) -> None:
        of = f", {allowed} are allowed" if allowed else ""
        rest = f"\n  and {count - len(first)} more" if count > len(first) else ""
        listed = "".join(f"\n  {each}" for each in first)
        super().__init__(
            f"{shown(file)}: {count} rows cannot be sent{of}.{listed}{rest}",
            NOTHING_SENT,
            f"mend the file or the mapping; --max-bad-rows {count} sends the others and keeps these apart",
        )
        self.count = count


class ChangedFileError(TieoutError):
    """A file is another one than when it was looked at first."""

    def __init__(self, file: str) -> None:
        super().__init__(
            f"{shown(file)} changed while it was read.",
            "what was sent of it has no closing control total, so the proof says OPEN.",
            "put the file of before back and ingest it again, which goes on where this run ended",
        )


class KnownNameError(RefusalError):
    """A file has the name of an earlier one, and other bytes."""

    def __init__(self, name: str, before: str, now: str) -> None:
        super().__init__(
            f"{shown(name)} was ingested before with other content: sha256 {before} then, {now} now.",
            NOTHING_SENT,
            "--changed, if it is a new version of the same file; --name NAME, if it is another file",
        )


class LookupFileError(MappingError):
    """A file in which a mapping looks values up cannot be used."""

    def __init__(self, file: Path, what: str) -> None:
        super().__init__(str(file), what, "mend that file, or name another one in the mapping")
