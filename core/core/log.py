"""Progress for people, on stderr."""

import sys

from core.text import shown_lines


def say(line: str) -> None:
    """Write one line of progress."""
    sys.stderr.write(shown_lines(line) + "\n")
    sys.stderr.flush()
