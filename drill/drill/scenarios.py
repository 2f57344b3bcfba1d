"""The scenarios: what goes wrong besides kills, and what the platform must then say and do."""

import os
import shutil
import signal
from collections.abc import Callable
from random import Random

from contracts.entities import load_entities
from control.catching_up import lake_ends
from drill import books
from drill.child import Child
from drill.harness import Harness
from drill.kills import BUILD, FRONT, LOAD, Deck, Strike
from drill.proving import Report, drain, prove
from drill.redriving import redrive_killed
from drill.round import Round
from drill.trouble import clock_set_back, disk_full

REFRESH_EVERY = 10
Scenario = Callable[[Harness, Random, Report], None]


class Kills:
    """Rounds of kills: up to five in each, in front of the lake, in the load and in the build."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._front, self._load, self._build = (Deck(strikes, chance) for strikes in (FRONT, LOAD, BUILD))

    def plan(self) -> tuple[list[Strike], list[Strike], list[Strike]]:
        """Draw the strikes of the next round: the same seed has the same plan, whatever the strikes hit."""
        front, load, build = (self._chance.choice(numbers) for numbers in ((0, 1), (0, 1, 2), (0, 1, 2)))
        front = front or int(not load and not build)
        decks = ((self._front, front), (self._load, load), (self._build, build))
        in_front, in_load, in_build = ([deck.draw() for _ in range(number)] for deck, number in decks)
        return in_front, in_load, in_build

    def __call__(self, harness: Harness, chance: Random, told: Report) -> None:
        """Play one round."""
        in_front, in_load, in_build = self.plan()
        play = Round(harness, chance, told.kills)
        if not in_front:
            harness.do(*play.feed())
        for strike in in_front:
            strike(play)
        if in_load or in_build:
            harness.settle_lake()
        for strike in in_load:
            strike(play)
        if in_build:
            harness.do("load")
        for strike in in_build:
            strike(play)
        prove(harness, told, refresh=told.number % REFRESH_EVERY == 0)


def broker_restart(harness: Harness, chance: Random, told: Report) -> None:
    """Restart the broker cleanly while a feed comes and the stream reads."""
    play = Round(harness, chance, told.kills)
    harness.ready_stream()
    producer = harness.start(*play.feed(rate=300, total=1200))
    play.pause(2.0)
    harness.restart_service("kafka")
    told.notes.append("broker restarted within a feed")
    if producer.wait() != 0:
        told.differences.append(f"the producer gave up: {producer.last_words}")
    prove(harness, told)


def database_restart(harness: Harness, chance: Random, told: Report) -> None:
    """Restart the database cleanly under a COPY."""
    harness.do(*Round(harness, chance).feed())
    harness.settle_lake()
    here = harness.layout.run / "drill-waits"
    load = harness.start("load", failpoint=f"load.in-copy {here}")
    harness.until(lambda: here.exists() or not load.alive, "load to come to its COPY")
    harness.restart_service("postgres")
    here.unlink(missing_ok=True)
    told.notes.append("database restarted in a COPY")
    if load.wait() == 0:
        told.differences.append("a load whose database went away said that all was well")
    prove(harness, told)


def checkpoint_deleted(harness: Harness, chance: Random, told: Report) -> None:
    """Kill the stream in a batch and take its checkpoint away."""
    play = Round(harness, chance, told.kills)
    stream = harness.ready_stream()
    harness.give_order("stream.after-dead-letters")
    harness.do(*play.feed())
    stream.wait()
    play.struck("stream", "at stream.after-dead-letters")
    shutil.rmtree(harness.layout.checkpoints)
    told.notes.append("its checkpoint deleted")
    prove(harness, told)


def bronze_deleted(harness: Harness, chance: Random, told: Report) -> None:
    """Delete bronze; the stream fills it again from Kafka, and the loader reads it again once it is told to."""
    harness.do(*Round(harness, chance).feed())
    drain(harness, told)
    harness.stop_stream()
    before = books.marts(harness.settings)
    harness.lake.bronze.remove()
    harness.ready_stream()
    harness.settle_lake()
    told.notes.append("bronze deleted and filled again from Kafka")
    refused = harness.start("load")
    if refused.wait() == 0 or "--accept-table" not in refused.last_words:
        told.differences.append(f"the loader took another table for its own: {refused.last_words}")
        return
    (accepted,) = {word for word in refused.last_words.split() if len(word) == 36 and word.count("-") == 4} & {
        str(harness.lake.bronze.delta().metadata().id)
    }
    harness.do("load", "--accept-table", accepted, "--reason", "drill: bronze was deleted")
    told.notes.append("the loader refused it, and took it with --accept-table")
    prove(harness, told)
    if books.marts(harness.settings) != before:
        told.differences.append("the marts are not what they were before bronze was deleted")


def two_loaders(harness: Harness, chance: Random, told: Report) -> None:
    """Start a load beside one that is in its COPY."""
    harness.do(*Round(harness, chance).feed())
    harness.settle_lake()
    here = harness.layout.run / "drill-waits"
    first = harness.start("load", failpoint=f"load.in-copy {here}")
    harness.until(lambda: here.exists() or not first.alive, "load to come to its COPY")
    second = harness.start("load", LOADER_LOCK_WAIT_SECONDS="1")
    _refused(told, second, "another load is running")
    here.unlink(missing_ok=True)
    if first.wait() != 0:
        told.differences.append(f"the first load failed: {first.last_words}")
    prove(harness, told)


def two_streams(harness: Harness, chance: Random, told: Report) -> None:
    """Start a stream beside the running one."""
    harness.ready_stream()
    harness.do(*Round(harness, chance).feed())
    _refused(told, harness.start("stream", "--once"), "The lake has one writer")
    prove(harness, told)


def paused_writer(harness: Harness, chance: Random, told: Report) -> None:
    """Stop the stream just before it commits, let another take the lake over, and wake it up."""
    sleeper = harness.ready_stream()
    here = harness.layout.run / "drill-waits"
    harness.give_order(f"stream.before-commit {here}")
    harness.do(*Round(harness, chance).feed())
    harness.until(lambda: here.exists() or not sleeper.alive, "the stream to come to its commit")
    os.kill(sleeper.process.pid, signal.SIGSTOP)
    # Another machine would not see this one's lock.
    harness.layout.writer_lock.unlink()
    # Nor would a lease that its machine's network had lost keep it.
    harness.rows("select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'stream'")
    harness.do("stream", "--once")
    taken = _ends(harness)
    here.unlink()
    os.kill(sleeper.process.pid, signal.SIGCONT)
    harness.stream = None
    if sleeper.wait() == 0 or "Another process has taken" not in sleeper.log.read_text(encoding="utf-8"):
        told.differences.append(f"the writer that slept did not say that it was shut out: {sleeper.last_words}")
    if _ends(harness) != taken:
        told.differences.append("the writer that slept moved the ends of the lake")
    told.notes.append("the stream was stopped before its commit, another took over, and the first woke up")
    prove(harness, told)


def _ends(harness: Harness) -> list[dict[int, int]]:
    return [lake_ends(harness.lake, entity) for entity in load_entities()]


def _refused(told: Report, second: Child, words: str) -> None:
    code = second.wait()
    if code == 0 or words not in second.log.read_text(encoding="utf-8"):
        told.differences.append(f"the second {second.words[0]} was not refused: {second.last_words}")
    else:
        told.notes.append(f"the second {second.words[0]} was refused: {words}")


def sent_again(harness: Harness, chance: Random, told: Report) -> None:
    """Send the whole of a feed a second time; no figure of the marts moves."""
    words = Round(harness, chance).feed()
    harness.do(*words)
    drain(harness, told)
    marts = books.marts(harness.settings)
    (before,) = harness.rows("select count(*) from raw.duplicates")
    harness.do(*words)
    prove(harness, told)
    (after,) = harness.rows("select count(*) from raw.duplicates")
    if books.marts(harness.settings) != marts:
        told.differences.append("a feed that was sent again changed the marts")
    if after[0] <= before[0]:
        told.differences.append("a feed that was sent again left no duplicates")
    told.notes.append(f"a feed was sent again: {after[0] - before[0]} duplicates")


SCENARIOS: dict[str, Scenario] = {
    "broker-restart": broker_restart,
    "database-restart": database_restart,
    "checkpoint-deleted": checkpoint_deleted,
    "bronze-deleted": bronze_deleted,
    "two-loaders": two_loaders,
    "two-streams": two_streams,
    "paused-writer": paused_writer,
    "sent-again": sent_again,
    "clock-set-back": clock_set_back,
    "redrive-killed": redrive_killed,
    "disk-full": disk_full,
}
