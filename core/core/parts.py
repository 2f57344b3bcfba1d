"""Work in parts that do not need each other, such as entities: one that fails does not stop the others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from core.errors import OutageError, RefusalError, TieoutError


class Parts:
    """What became of each part of some work.

    Args:
        names: of the parts, in their order.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self.failed: dict[str, TieoutError] = {}

    @property
    def well(self) -> tuple[str, ...]:
        """The parts that have not failed."""
        return tuple(name for name in self._names if name not in self.failed)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Work on a part; its error, or that of a file or folder, is kept and does not leave the block."""
        try:
            yield
        except TieoutError as error:
            self.failed[name] = error
        except OSError as error:
            self.failed[name] = _of_file(error)

    def raise_failed(self, done: Any = None) -> None:
        """End the work.

        Args:
            done: what the parts that went well gave; the error brings it along.

        Raises:
            TieoutError: a part has failed. Where all that failed are outages, or refusals, it is one too.
        """
        if self.failed:
            raise join(self.failed, self.well, done)


def join(failed: Mapping[str, TieoutError], well: Sequence[str] = (), done: Any = None) -> TieoutError:
    """Return one error for those of several parts.

    Args:
        failed: each part's error by its name; one at least.
        well: the parts that have not failed.
        done: what those gave.
    """
    errors = list(failed.values())
    if not well and len({error.what for error in errors}) == 1:
        joined = errors[0]
    else:
        named = len(failed) > 1
        left = [f"{name}: {error.left}" if named else error.left for name, error in failed.items()]
        joined = _kind(errors)(
            "\n".join(f"{name}: {error.what}" for name, error in failed.items()),
            " ".join([*dict.fromkeys(left), *([f"{' and '.join(well)} went on."] if well else [])]),
            "; ".join(dict.fromkeys(error.next for error in errors)),
        )
    joined.failed, joined.is_partial, joined.done = dict(failed), bool(well), done
    return joined


def _kind(errors: Sequence[TieoutError]) -> type[TieoutError]:
    for kind in (OutageError, RefusalError):
        if all(isinstance(error, kind) for error in errors):
            return kind
    return TieoutError


def _of_file(error: OSError) -> TieoutError:
    named = f"{error.filename}: " if error.filename else ""
    return TieoutError(
        f"{named}{error.strerror or type(error).__name__}.",
        "what was done before that stays.",
        "./scripts/tieout doctor",
    )
