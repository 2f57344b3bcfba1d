"""The scenarios: what goes wrong besides kills, and what the platform must then say and do."""

import os
import shutil
import signal
from collections.abc import Callable
from random import Random

from control.catching_up import lake_ends
from control.drill import books
from control.drill.ground import Child, Ground
from control.drill.proving import Report, drain, prove
from control.drill.redriving import redrive_killed
from control.drill.strikes import BUILD, FRONT, LOAD, Deck, Round, Strike
from control.drill.trouble import clock_set_back, disk_full

REFRESH_EVERY = 10
Scenario = Callable[[Ground, Random, Report], None]


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

    def __call__(self, ground: Ground, chance: Random, told: Report) -> None:
        """Play one round."""
        in_front, in_load, in_build = self.plan()
        play = Round(ground, chance, told.kills)
        if not in_front:
            ground.do(*play.feed())
        for strike in in_front:
            strike(play)
        if in_load or in_build:
            ground.settle_lake()
        for strike in in_load:
            strike(play)
        if in_build:
            ground.do("load")
        for strike in in_build:
            strike(play)
        prove(ground, told, refresh=told.number % REFRESH_EVERY == 0)


def broker_restart(ground: Ground, chance: Random, told: Report) -> None:
    """Restart the broker cleanly while a feed comes and the stream reads."""
    play = Round(ground, chance, told.kills)
    ground.ready_stream()
    producer = ground.start(*play.feed(rate=300, total=1200))
    play.pause(2.0)
    ground.restart_service("kafka")
    told.notes.append("broker restarted within a feed")
    if producer.wait() != 0:
        told.differences.append(f"the producer gave up: {producer.last_words}")
    prove(ground, told)


def database_restart(ground: Ground, chance: Random, told: Report) -> None:
    """Restart the database cleanly under a COPY."""
    ground.do(*Round(ground, chance).feed())
    ground.settle_lake()
    here = ground.layout.run / "drill-waits"
    load = ground.start("load", failpoint=f"load.in-copy {here}")
    ground.until(lambda: here.exists() or not load.alive, "load to come to its COPY")
    ground.restart_service("postgres")
    here.unlink(missing_ok=True)
    told.notes.append("database restarted in a COPY")
    if load.wait() == 0:
        told.differences.append("a load whose database went away said that all was well")
    prove(ground, told)


def checkpoint_deleted(ground: Ground, chance: Random, told: Report) -> None:
    """Kill the stream in a batch and take its checkpoint away."""
    play = Round(ground, chance, told.kills)
    stream = ground.ready_stream()
    ground.give_order("stream.after-dead-letters")
    ground.do(*play.feed())
    stream.wait()
    play.struck("stream", "at stream.after-dead-letters")
    shutil.rmtree(ground.layout.checkpoint.parent)
    told.notes.append("its checkpoint deleted")
    prove(ground, told)


def bronze_deleted(ground: Ground, chance: Random, told: Report) -> None:
    """Delete bronze; the stream fills it again from Kafka, and the loader reads it again once it is told to."""
    ground.do(*Round(ground, chance).feed())
    drain(ground, told)
    ground.stop_stream()
    before = books.marts(ground.settings)
    ground.lake.bronze.remove()
    ground.ready_stream()
    ground.settle_lake()
    told.notes.append("bronze deleted and filled again from Kafka")
    refused = ground.start("load")
    if refused.wait() == 0 or "--accept-table" not in refused.last_words:
        told.differences.append(f"the loader took another table for its own: {refused.last_words}")
        return
    (accepted,) = {word for word in refused.last_words.split() if len(word) == 36 and word.count("-") == 4} & {
        str(ground.lake.bronze.delta().metadata().id)
    }
    ground.do("load", "--accept-table", accepted, "--reason", "drill: bronze was deleted")
    told.notes.append("the loader refused it, and took it with --accept-table")
    prove(ground, told)
    if books.marts(ground.settings) != before:
        told.differences.append("the marts are not what they were before bronze was deleted")


def two_loaders(ground: Ground, chance: Random, told: Report) -> None:
    """Start a load beside one that is in its COPY."""
    ground.do(*Round(ground, chance).feed())
    ground.settle_lake()
    here = ground.layout.run / "drill-waits"
    first = ground.start("load", failpoint=f"load.in-copy {here}")
    ground.until(lambda: here.exists() or not first.alive, "load to come to its COPY")
    second = ground.start("load", LOADER_LOCK_WAIT_SECONDS="1")
    _refused(told, second, "another load is running")
    here.unlink(missing_ok=True)
    if first.wait() != 0:
        told.differences.append(f"the first load failed: {first.last_words}")
    prove(ground, told)


def two_streams(ground: Ground, chance: Random, told: Report) -> None:
    """Start a stream beside the running one."""
    ground.ready_stream()
    ground.do(*Round(ground, chance).feed())
    _refused(told, ground.start("stream", "--once"), "The lake has one writer")
    prove(ground, told)


def paused_writer(ground: Ground, chance: Random, told: Report) -> None:
    """Stop the stream just before it commits, let another take the lake over, and wake it up."""
    sleeper = ground.ready_stream()
    here = ground.layout.run / "drill-waits"
    ground.give_order(f"stream.before-commit {here}")
    ground.do(*Round(ground, chance).feed())
    ground.until(lambda: here.exists() or not sleeper.alive, "the stream to come to its commit")
    os.kill(sleeper.process.pid, signal.SIGSTOP)
    # Another machine would not see this one's lock.
    ground.layout.writer_lock.unlink()
    ground.do("stream", "--once")
    taken = lake_ends(ground.lake)
    here.unlink()
    os.kill(sleeper.process.pid, signal.SIGCONT)
    ground.stream = None
    if sleeper.wait() == 0 or "Another process has taken" not in sleeper.log.read_text(encoding="utf-8"):
        told.differences.append(f"the writer that slept did not say that it was shut out: {sleeper.last_words}")
    if lake_ends(ground.lake) != taken:
        told.differences.append("the writer that slept moved the ends of the lake")
    told.notes.append("the stream was stopped before its commit, another took over, and the first woke up")
    prove(ground, told)


def _refused(told: Report, second: Child, words: str) -> None:
    code = second.wait()
    if code == 0 or words not in second.log.read_text(encoding="utf-8"):
        told.differences.append(f"the second {second.words[0]} was not refused: {second.last_words}")
    else:
        told.notes.append(f"the second {second.words[0]} was refused: {words}")


def sent_again(ground: Ground, chance: Random, told: Report) -> None:
    """Send the whole of a feed a second time; no figure of the marts moves."""
    words = Round(ground, chance).feed()
    ground.do(*words)
    drain(ground, told)
    marts = books.marts(ground.settings)
    (before,) = ground.rows("select count(*) from raw.duplicates")
    ground.do(*words)
    prove(ground, told)
    (after,) = ground.rows("select count(*) from raw.duplicates")
    if books.marts(ground.settings) != marts:
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
