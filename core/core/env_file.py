"""A home's `.env` as text: names and values, nothing replaced."""

import io
import os
from pathlib import Path

from dotenv.parser import parse_stream

from core.errors import TieoutError


def read_env_file(path: Path) -> dict[str, str]:
    """Return the values of a `.env` file; those that are empty are left out. Nothing in a value is replaced.

    Raises:
        TieoutError: the file belongs to someone else, or is not a file of settings.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except PermissionError as error:
        raise TieoutError(
            f"{path} cannot be read: it belongs to user id {path.stat().st_uid}, this is {os.geteuid()}.",
            "nothing was changed.",
            "run the command as the user who ran ./scripts/setup.sh",
        ) from error
    except UnicodeDecodeError as error:
        raise TieoutError(
            f"{path} is not UTF-8 text: byte {error.start}.", "nothing was changed.", f"save {path} as UTF-8"
        ) from None
    found = {}
    for line in parse_stream(io.StringIO(text)):
        if line.error:  # not shown: it may hold a secret
            raise TieoutError(
                f"line {line.original.line} of {path} is not NAME=VALUE; is a quote not closed?",
                "nothing was changed.",
                f"mend that line of {path}, then the same command again",
            )
        if line.key and line.value:
            found[line.key] = line.value
    return found
