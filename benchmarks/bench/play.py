"""One run of the benchmark: hop after hop, each on ground of its own."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from bench import ground, machine
from bench.frame import BenchError, Outcome, Wish
from bench.hops import find_hop
from bench.report import as_json, goals
from control.java import require_java
from core.errors import TieoutError
from core.layout import CHECKOUT


def say(line: str) -> None:
    """Tell how far it has got, on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@cache
def peers_python() -> str:
    """Return the interpreter of the peers' environment, which is installed where it is missing or old.

    Raises:
        BenchError: it cannot be installed.
    """
    done = subprocess.run(
        [str(CHECKOUT / "scripts" / "setup.sh"), "--bench"],
        env=ground.installing(),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError("the peers could not be installed.", "nothing was measured.", "./scripts/setup.sh --bench")
    return str(CHECKOUT / ".tieout" / "env" / "bench" / "bin" / "python")


def play(
    names: Sequence[str], size: str, keep: Callable[[dict[str, Any]], object], tell: Callable[[str], None] = say
) -> dict[str, Any]:
    """Measure hops and return the report. A hop that fails says so in it, and the others go on.

    Args:
        keep: given the report behind each hop: a run of hours that is ended keeps what it has.
        tell: told how far it has got.
    """
    require_java()
    ground.forget_settings()
    ground.end_on_signal()
    for home in ground.sweep():
        tell(f"removed what a killed benchmark left: {home}")
    report: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "size": size,
        "machine": machine.describe(),
        "versions": machine.versions(),
        "hops": {},
    }
    for name in names:
        hop = find_hop(name)
        tell(f"{name}: {hop.title}")
        begun = datetime.now(UTC)
        try:
            report["hops"][name] = as_json(hop.measure(Wish(size, tell, peers_python)), hop)
        except TieoutError as error:
            tell(f"  {error}")
            failed = Outcome(notes=[f"not measured: {error.what}"])
            report["hops"][name] = as_json(failed, hop) | {"failed": str(error)}
        report["hops"][name]["took_seconds"] = round((datetime.now(UTC) - begun).total_seconds(), 1)
        keep(report)
        tell("\n".join(goals(report, name)))
    return report
