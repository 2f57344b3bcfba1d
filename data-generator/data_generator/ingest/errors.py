"""What can go wrong with a file or its mapping, each with its data as attributes."""

import shlex
from pathlib import Path

from core.errors import OptionError, OutageError, RefusalError, TieoutError
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


class GoneRowsError(RefusalError):
    """The new version of a file lacks rows that the one of before had.

    Args:
        name: of the file.
        count: how many rows.
        money: their sums, for people.
    """

    def __init__(self, name: str, count: int, money: str) -> None:
        super().__init__(
            f"{shown(name)}: {count} rows of its earlier versions are not in this one, {money}.",
            f"{NOTHING_SENT[:-1]}; those rows stay in the books.",
            f"--changed --keep-gone {count}, if they are to stay in the books",
        )
        self.count = count


class NotLoadedError(OutageError):
    """An earlier version of a file is not wholly in the warehouse yet."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{shown(name)}: its earlier version is not wholly loaded yet, so nobody can say which rows are gone.",
            NOTHING_SENT,
            "./scripts/tieout run, then the same command again",
        )


class OverlapError(RefusalError):
    """A file without ids has rows of another file.

    Args:
        name: of the file.
        other: the name of that one.
        percent: about how many of its rows, in percent.
    """

    def __init__(self, name: str, other: str, percent: int) -> None:
        super().__init__(
            f"{shown(name)}: about {percent} % of its rows equal rows of {shown(other)}, and the file has no ids.",
            f"{NOTHING_SENT[:-1]}: sent like this, each of them would be a second payment.",
            f"--overlap {shlex.quote(shown(other))}, if it is that file exported again: equal rows become duplicates; "
            "--overlap none, if they are other payments",
        )


class LookupFileError(MappingError):
    """A file in which a mapping looks values up cannot be used."""

    def __init__(self, file: Path, what: str) -> None:
        super().__init__(str(file), what, "mend that file, or name another one in the mapping")


class FilesError(TieoutError):
    """Some files of several could not be ingested; the others were.

    Args:
        failed: how many could not.
        files: how many there were.
        first: why not the first of them.
    """

    def __init__(self, failed: int, files: int, first: TieoutError) -> None:
        super().__init__(
            f"{failed} of {files} files were not ingested; the first: {first.what}", "the others were.", first.next
        )
