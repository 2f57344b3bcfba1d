"""Which entities a stream does not serve, and why: a file that it writes and others read."""

import json
from collections.abc import Mapping

from core.errors import OutageError, RefusalError, TieoutError
from core.files import write_file
from core.layout import Layout

_KINDS = {kind.__name__: kind for kind in (OutageError, RefusalError, TieoutError)}


def write_failed(layout: Layout, failed: Mapping[str, TieoutError]) -> None:
    """Keep the errors by entity for whoever asks; none: take back what was kept."""
    if not failed:
        layout.stream_failed.unlink(missing_ok=True)
        return
    told = {name: [_kind(error), error.what, error.left, error.next] for name, error in failed.items()}
    write_file(layout.stream_failed, json.dumps(told), mode=0o644)


def _kind(error: TieoutError) -> str:
    return next(name for name, kind in _KINDS.items() if isinstance(error, kind))


def read_failed(layout: Layout) -> dict[str, TieoutError]:
    """Return the errors of the entities that the running stream does not serve, or that the last one did not."""
    try:
        told = json.loads(layout.stream_failed.read_text(encoding="utf-8"))
        return {name: _KINDS[kind](*words) for name, (kind, *words) in told.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
