"""What goes wrong in the large form only: its store, its executors, its brokers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import psutil

from drill.harness import Harness
from drill.proving import Report, prove
from drill.round import Round

TEMPORARY_FAILURE = 75
EXECUTOR, WAITING = "CoarseGrainedExecutorBackend", "waiting for the broker"


def store_restart(harness: Harness, chance: Random, told: Report) -> None:
    """Kill the store between a batch's files and their commit; bring it back when the stream has given up."""
    play = Round(harness, chance, told.kills)
    stream = harness.ready_stream()
    here = harness.layout.run / "drill-waits"
    harness.give_order(f"stream.before-commit {here}")
    harness.do(*play.feed())
    harness.until(lambda: here.exists() or not stream.alive, "the stream to come to its commit")
    harness.kill_and_hold("store")
    play.struck("store", "at stream.before-commit")
    here.unlink(missing_ok=True)
    code = stream.wait()
    if code != TEMPORARY_FAILURE or "does not answer" not in stream.log.read_text(encoding="utf-8"):
        told.differences.append(f"the stream did not say that its store is away: {stream.last_words}")
    told.notes.append("the stream waited for the store, and said that it is away")
    harness.start_service("store")
    harness.wait_for_services()
    prove(harness, told)


def executor_killed(harness: Harness, chance: Random, told: Report) -> None:
    """Kill an executor whose task has judged its messages and not closed its files; another one does it again."""
    play = Round(harness, chance, told.kills)
    stream = harness.ready_stream()
    here = harness.layout.run / "drill-waits"
    harness.give_order(f"stream.in-task {here}")
    harness.do(*play.feed())
    harness.until(lambda: _text(here) != "" or not stream.alive, "a worker to come to its files")
    executors = [each for each in psutil.Process(int(_text(here))).parents() if EXECUTOR in " ".join(each.cmdline())]
    if not executors:
        told.differences.append("the task ran in no executor of its own")
    for executor in executors:
        executor.kill()
        play.struck("executor", "at stream.in-task")
    harness.order.unlink()  # the next one goes on
    here.unlink()
    harness.settle_lake()
    if harness.stream is not stream:
        told.differences.append(f"the stream did not outlive its executor: {stream.last_words}")
    told.notes.append("the stream went on with another executor")
    prove(harness, told)


def brokers_killed(harness: Harness, chance: Random, told: Report) -> None:
    """Kill one broker of three, then a second one, and bring both back."""
    play = Round(harness, chance, told.kills)
    harness.ready_stream()
    harness.kill_and_hold("kafka-3")
    play.struck("broker", "one of three")
    harness.do(*play.feed())
    harness.settle_lake()
    told.notes.append("with one broker of three killed all went on")
    harness.kill_and_hold("kafka-2")
    play.struck("broker", "the second of three")
    producer = harness.start(*play.feed())
    harness.until(lambda: WAITING in _text(producer.log) or not producer.alive, "the gateway to say that it waits")
    if not producer.alive:
        told.differences.append(f"the gateway did not wait for the brokers: {producer.last_words}")
    for name in ("kafka-2", "kafka-3"):
        harness.start_service(name)
    if producer.wait() != 0:
        told.differences.append(f"the gateway did not go on with the brokers: {producer.last_words}")
    told.notes.append("with two killed the gateway waited, said so, and went on when they were back")
    harness.wait_for_services()
    prove(harness, told)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


SCENARIOS: Mapping[str, Callable[[Harness, Random, Report], None]] = {
    "store-restart": store_restart,
    "executor-killed": executor_killed,
    "brokers-killed": brokers_killed,
}
# The optional part of the platform that each of them needs.
NEEDS = {"store-restart": "store", "executor-killed": "cluster", "brokers-killed": "cluster"}
