"""What goes wrong in the large form only: its store, its executors, its brokers."""

from collections.abc import Callable, Mapping
from random import Random

from control.drill.ground import Ground
from control.drill.proving import Report, prove
from control.drill.strikes import Round

TEMPORARY_FAILURE = 75


def store_restart(ground: Ground, chance: Random, told: Report) -> None:
    """Kill the store between a batch's files and their commit; bring it back when the stream has given up."""
    play = Round(ground, chance, told.kills)
    stream = ground.ready_stream()
    here = ground.layout.run / "drill-waits"
    ground.give_order(f"stream.before-commit {here}")
    ground.do(*play.feed())
    ground.until(lambda: here.exists() or not stream.alive, "the stream to come to its commit")
    ground.kill_and_hold("store")
    play.struck("store", "at stream.before-commit")
    here.unlink(missing_ok=True)
    code = stream.wait()
    if code != TEMPORARY_FAILURE or "does not answer" not in stream.log.read_text(encoding="utf-8"):
        told.differences.append(f"the stream did not say that its store is away: {stream.last_words}")
    told.notes.append("the stream waited for the store, and said that it is away")
    ground.start_service("store")
    ground.wait_for_services()
    prove(ground, told)


SCENARIOS: Mapping[str, Callable[[Ground, Random, Report], None]] = {"store-restart": store_restart}
# The optional part of the platform that each of them needs.
NEEDS = {"store-restart": "store"}
