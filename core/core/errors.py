"""The form of every error that a person sees."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from core.layout import find_layout


class TieoutError(Exception):
    """Something failed that a person can act on.

    Args:
        what: what failed, with the value that it failed on.
        left: the state that is left behind.
        next: the command that goes on from here.

    Attributes:
        failed: each part's error by its name, where it is one for several parts (`core.parts`).
        is_partial: other parts went well.
        done: what those gave.
    """

    failed: Mapping[str, "TieoutError"] = MappingProxyType({})
    is_partial = False
    done: Any = None

    def __init__(self, what: str, left: str, next: str) -> None:
        super().__init__(what, left, next)
        self.what = what
        self.left = left
        self.next = next

    def __str__(self) -> str:
        return f"{self.what}\nLeft as it is: {self.left} Next: {self.next}"


class OutageError(TieoutError):
    """Something that the work needs is away or busy, and the same command may well succeed later.

    The command line ends with exit code 75 (EX_TEMPFAIL) for it and with 1 for every other error, so that whoever
    repeats failed work repeats only what can get better by itself.
    """


class OptionError(TieoutError):
    """An option's value is none that there is; the command line ends with exit code 2 for it."""


class RefusalError(TieoutError):
    """Going on would be wrong until a person has decided; the message names the command that says so.

    The command line ends with exit code 78 (EX_CONFIG), and the supervisor does not start such a service again.
    """


def missing_secret(name: str, left: str) -> TieoutError:
    """Return the error of a secret that is set nowhere.

    Args:
        name: of its variable.
        left: the state that is left behind.
    """
    return TieoutError(
        f"{name} is neither in the environment nor in {find_layout().env_file}.",
        left,
        "./scripts/setup.sh, which makes the missing secrets",
    )
