"""A restore that has begun and not ended: its mark, and who is refused meanwhile."""

import json
from pathlib import Path

from core.errors import RefusalError
from core.layout import Layout

HALF = "what is here is a part of that backup, and nothing uses it yet."


def marker(layout: Layout) -> Path:
    """Return the file that is there from a restore's first write to its end."""
    return layout.state / "restore.json"


def is_cut_short(layout: Layout) -> bool:
    """Say whether a restore has begun here and not ended."""
    return marker(layout).exists()


def refuse_half_restored(layout: Layout) -> None:
    """Refuse to start a home that a restore has not finished.

    Raises:
        RefusalError: it has not.
    """
    if not is_cut_short(layout):
        return
    begun = json.loads(marker(layout).read_text(encoding="utf-8"))
    raise RefusalError(
        f"a restore of this home was cut short: backup {begun['backup_id']} from {begun['from']}.",
        HALF,
        f"./scripts/tieout restore --from {begun['from']}, or ./scripts/tieout reset (starts over)",
    )
