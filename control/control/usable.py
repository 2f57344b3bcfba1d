"""What paths and settings may hold: what some part of the platform cannot take is refused before anything changes."""

import re
from collections.abc import Mapping, Set
from pathlib import Path

from core.errors import TieoutError
from core.layout import Layout
from core.text import shown

# Java's class path and PATH end a name at the colon, Kafka's and Spark's lists of folders at the comma, and Java's jar:
# URLs a file's name at `!/`. Hadoop, DuckDB, delta-rs and shells take the others for patterns, escapes or quotes.
NOT_IN_PATHS = '!:,*?[]{}%\\"'
# A secret is written into URLs, Java's login modules and files of other formats; a dollar sign begins a name in `.env`.
NOT_IN_SECRETS = "\"'\\`$"
DATABASE_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")


def require_usable_paths(layout: Layout) -> None:
    """Make sure that every part can use the platform's folders.

    Raises:
        TieoutError: a name on the way holds a character that some part cannot take.
    """
    for path in dict.fromkeys((layout.home, layout.checkout)):
        odd = next((char for char in str(path) if char in NOT_IN_PATHS or not char.isprintable()), None)
        if odd is not None:
            raise TieoutError(
                f"the folder {shown(path)} cannot be used: its path holds {shown(repr(odd))}.",
                "nothing was changed.",
                "rename or move the folder, or name another one in TIEOUT_HOME",
            )


def require_usable_settings(values: Mapping[str, str], secrets: Set[str], file: Path) -> None:
    """Make sure that every part can use the settings; no message shows the value of one.

    Args:
        values: the settings.
        secrets: the names of those that are secret.
        file: where a person mends them.

    Raises:
        TieoutError: a value is of the wrong form.
    """
    for name, value in values.items():
        wrong = _what_is_wrong(name, value, is_secret=name in secrets)
        if wrong is not None:
            raise TieoutError(
                f"the setting {shown(name)} cannot be used: {wrong}.",
                "nothing was changed.",
                f"mend {name} in {file} or in the environment, then the same command again",
            )


def _what_is_wrong(name: str, value: str, *, is_secret: bool) -> str | None:
    if not value.isprintable():
        return "it holds a line break, a tab or another character that cannot be seen"
    if is_secret and not value.isascii():
        return "it holds a letter that is not ASCII"
    if is_secret and any(char == " " or char in NOT_IN_SECRETS for char in value):
        return f"it holds a blank or one of {' '.join(NOT_IN_SECRETS)}"
    if name == "POSTGRES_DB" and not DATABASE_NAME.fullmatch(value):
        return "a database's name is letters, digits, _ and -"
    return None
