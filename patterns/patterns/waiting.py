"""What is done when a store or disk is away or full: wait, say so once, and go on."""

import errno
from collections.abc import Callable
from typing import TypeVar

from core.errors import OutageError

Found = TypeVar("Found")
Say = Callable[[str], None]

PAUSE_SECONDS = 1.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE}


def patiently(action: Callable[[], Found], say: Say, pause: Callable[[float], bool]) -> Found:
    """Do what needs the store until it answers.

    Args:
        action: may be done again.
        say: takes a line for people.
        pause: waits so many seconds; returns whether to go on.

    Raises:
        OutageError: it was told to stop meanwhile.
    """
    has_said = False
    while True:
        try:
            found = action()
        except (OutageError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _FULL:
                raise
            if not has_said:
                what = error.what if isinstance(error, OutageError) else f"{error.filename}: {error.strerror}."
                say(f"waiting: {what}")
                has_said = True
            if not pause(PAUSE_SECONDS):
                raise _stopped(error) from None
        else:
            if has_said:
                say("going on")
            return found


def _stopped(error: OutageError | OSError) -> OutageError:
    if isinstance(error, OutageError):
        return error
    return OutageError(f"{error.filename}: {error.strerror}.", "what was written stays.", "make room, then again")
