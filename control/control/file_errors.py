"""What an error of a file or folder means for a person."""

import os
from pathlib import Path

from core.errors import TieoutError
from core.text import shown


def explain_file_error(error: OSError) -> TieoutError:
    """Return the error of a file or folder that could not be used: in most cases it is another account's."""
    from control.accounts import account_name

    if error.filename is None:
        return TieoutError(
            f"the output cannot be written: {error.strerror}.",
            "what the command did stays; its output is cut off.",
            "make room, then the same command again",
        )
    path = Path(os.fsdecode(error.filename))
    there = next((each for each in (path, *path.parents) if os.access(each, os.F_OK)), Path("/"))
    owner = there.stat().st_uid
    own = f"it is {account_name(owner)}'s, and this is {account_name(os.geteuid())}"
    if isinstance(error, PermissionError) and owner != os.geteuid():
        return TieoutError(
            f"{shown(path)}: {error.strerror}; {own}.",
            "what was done before that stays.",
            f"the same command as {account_name(owner)}, or a home of your own in TIEOUT_HOME",
        )
    return TieoutError(
        f"{shown(path)}: {error.strerror}.", "what was done before that stays.", "./scripts/tieout doctor"
    )
