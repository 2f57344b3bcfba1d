"""From nothing to the first marts, from stopped to healthy, and what a platform takes while nothing happens."""

import time
from pathlib import Path

from bench.frame import OURS, Books, Goal, Hop, NotRun, Outcome, Run, Side, Wish, sum_up
from bench.ground import installing, own_home, run
from bench.platform_use import memory_gib, share_of_a_core
from control import supervision
from control.env import change_env, ensure_env
from control.ports import LISTENING
from control.testing import free_ports
from core.layout import CHECKOUT, find_layout

QUIET = {"PIPELINE_SCHEDULE": "off"}


def measure(wish: Wish) -> Outcome:
    """Start the whole platform, Airflow with it, as a person does."""
    outcome = Outcome()
    with own_home() as home:
        warm = _warm_starts(home / "warm", wish, outcome)
    outcome.figures.append(sum_up(Side("warm start", OURS, lambda: warm[0]), warm))
    outcome.goals.append(Goal("warm start to healthy", outcome.figures[0].seconds, 45, at_least=False, unit="s"))
    if wish.size == "full":
        with own_home() as home:
            seconds = _fresh_clone(home / "clone")
        outcome.goals.append(Goal("fresh clone to first marts", seconds, 360, at_least=False, unit="s"))
        outcome.notes.append("fresh clone: packages and JARs come from this machine's caches where it has them")
    else:
        outcome.not_run.append(NotRun("fresh clone to first marts", "takes minutes; without --quick it is measured"))
    return outcome


def _warm_starts(home: Path, wish: Wish, outcome: Outcome) -> list[Run]:
    """Start, stop and start again; at the end look at the idle platform."""
    home.mkdir(mode=0o755)
    layout = find_layout({"TIEOUT_HOME": str(home)})
    ensure_env(layout)
    change_env(layout, dict(zip(LISTENING, map(str, free_ports(len(LISTENING))), strict=True)) | QUIET)
    environment = {"TIEOUT_HOME": str(home)}
    runs = []
    try:
        for number in range(-1, wish.of(3, 1, 1)):
            begun = time.perf_counter()
            run([str(CHECKOUT / "scripts" / "start.sh"), "--no-demo"], environment=environment)
            seconds = time.perf_counter() - begun
            wish.say(f"  {'first start' if number < 0 else 'warm start'}: {seconds:.0f} s")
            if number >= 0:
                runs.append(Run(seconds, Books(1)))
            if number < wish.of(3, 1, 1) - 1:
                run([str(CHECKOUT / "scripts" / "stop.sh")], environment=environment)
        time.sleep(wish.of(60, 10, 1))  # what starting leaves behind, such as first parses, is no part of idleness
        memory = memory_gib(layout)
        share = share_of_a_core(layout, wish.of(120, 15, 2))
    finally:
        supervision.shut_down(layout)
    outcome.goals.append(Goal("idle memory of the whole platform", memory, 6, at_least=False, unit="GiB"))
    outcome.goals.append(Goal("idle use of one core", 100 * share, 25, at_least=False, unit="%"))
    return runs


def _fresh_clone(clone: Path) -> float:
    """Clone, start, and return the seconds until the first marts are there."""
    begun = time.perf_counter()
    run(["git", "clone", "--quiet", "--no-hardlinks", str(CHECKOUT), str(clone)])
    try:
        run([str(clone / "scripts" / "start.sh")], environment=installing())
        return time.perf_counter() - begun
    finally:
        run([str(clone / "scripts" / "stop.sh")])


HOP = Hop("start", "from nothing to first marts, from stopped to healthy, and idle use", measure, moves_rows=False)
