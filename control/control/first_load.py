"""The first load: 20,000 payments of the last 30 days through the whole pipeline, once in a home's life."""

import json
import os
import secrets
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from control.accounts import own_file
from control.processes import Platform
from control.progress import say, step
from core.errors import TieoutError

PAYMENTS = 20_000
MARKER = "first-load.json"
COMMAND = (sys.executable, "-P", "-m", "control")


def produce_first_load(platform: Platform) -> dict[str, object] | None:
    """Send the payments, unless it was done; None when the whole first load is done.

    What was interrupted is produced again with the same seed and start: the same payments, so those that arrived
    before the interruption are duplicates and count once.

    Raises:
        TieoutError: the producer failed; the next start tries again.
    """
    marker = platform.layout.state / MARKER
    plan = _plan(marker)
    if plan.get("done"):
        return None
    if not plan.get("produced"):
        with step(f"first load: {PAYMENTS:,} payments over the last 30 days, 1 % broken"):
            _produce(platform, plan, _environment(platform))
        plan = plan | {"produced": True}
        own_file(marker, json.dumps(plan), None)
    return plan


def run_first_load(platform: Platform, plan: dict[str, object]) -> None:
    """Take the payments through the whole pipeline.

    Raises:
        TieoutError: the pipeline failed; the next start tries again.
    """
    say("first load: the pipeline")
    command = [*COMMAND, "run"]
    if subprocess.run(command, env=_environment(platform), stdout=sys.stderr, check=False).returncode != 0:
        raise TieoutError(
            "the first load did not get through the pipeline; the reason is above.",
            "all services run; the payments are in Kafka.",
            "./scripts/tieout run, or ./scripts/start.sh again",
        )
    own_file(platform.layout.state / MARKER, json.dumps(plan | {"done": True}), None)


def _environment(platform: Platform) -> dict[str, str]:
    return {**os.environ, "TIEOUT_HOME": str(platform.layout.home)}


def _plan(marker: Path) -> dict[str, object]:
    if marker.exists():
        return dict(json.loads(marker.read_text(encoding="utf-8")))
    now = datetime.now(UTC).replace(microsecond=0)
    plan: dict[str, object] = {"seed": secrets.randbelow(2**31), "start": now.isoformat()}
    own_file(marker, json.dumps(plan), None)
    return plan


def _produce(platform: Platform, plan: dict[str, object], environment: dict[str, str]) -> None:
    command = [*COMMAND, "produce", "--total", str(PAYMENTS), "--timeline", "last:30d", "--rate", "0"]
    command += ["--faults", "0.01", "--seed", str(plan["seed"]), "--start", str(plan["start"])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    log = platform.layout.logs / "first-load.log"
    own_file(log, done.stderr + done.stdout, None)
    if done.returncode != 0:
        raise TieoutError(
            f"the first load's producer ended with exit code {done.returncode}: {done.stderr.strip()[-500:]}",
            f"all services run; its output is in {log}.",
            "./scripts/start.sh again",
        )
