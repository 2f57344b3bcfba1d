"""What can be wrong with a statement, said with its place."""

from pathlib import Path

from core.errors import TieoutError

_LEFT = "nothing was compared or written."


class StatementFileError(TieoutError):
    """A statement cannot be read exactly; none of it counts."""

    def __init__(self, file: Path, problem: str, then: str, line: int | None = None, column: str | None = None) -> None:
        place = f" line {line}" if line else ""
        place += f", column {column}" if column else ""
        super().__init__(f"{file}{place}: {problem}.", _LEFT, then)


class MisuseError(ValueError):
    """An option of the command does not make sense."""
