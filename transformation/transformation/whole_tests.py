"""The tests that read whole marts: no part of a build, whose own tests read what it changed."""

import time
from typing import Any

from core.errors import OutageError, TieoutError
from core.layout import find_layout
from transformation.build import dbt_process
from transformation.connection import connect_as_dbt
from transformation.lock import hold_build_lock
from transformation.messages import is_outage

WAIT_SECONDS = 600.0


def run_whole_tests() -> dict[str, Any]:
    """Run them, while no build moves one mart after the other.

    Returns:
        tests (how many passed) and seconds.

    Raises:
        TieoutError: one failed, or a build does not end.
    """
    begun = time.monotonic()
    with connect_as_dbt() as db, hold_build_lock(db, WAIT_SECONDS):
        outcome = dbt_process(find_layout()).run(["test", "--select", "tag:full"])
    if not outcome.ok:
        failures = outcome.failures()
        kind = OutageError if is_outage(failures) else TieoutError
        raise kind(
            f"a test over whole marts failed: {'; '.join(failures)[:2000]}",
            "the marts are as they were; a test changes nothing.",
            "./scripts/tieout build --from DAY --to DAY for a day, --full-refresh for more; then this again",
        )
    return {"tests": outcome.count("test"), "seconds": round(time.monotonic() - begun, 3)}
