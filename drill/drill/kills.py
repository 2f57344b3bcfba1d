"""What the drill kills, and how it knows the moment: by a failpoint, or by a sign that the work has begun."""

import os
import signal
import subprocess
from collections.abc import Callable
from random import Random

import psutil

from control.offsets import end_offsets
from drill.child import Child, DrillError
from drill.harness import TOPIC
from drill.round import Round

KILLED = -signal.SIGKILL


# --- In front of the lake. Each of them feeds the platform. -----------------------------------------------------------


def producer_before_flush(play: Round) -> None:
    """Die before the acknowledgements; then send the same feed once more, as an operator would."""
    words = play.feed()
    child = play.harness.start(*words, failpoint="producer.before-flush")
    if child.wait() == KILLED:
        play.struck("producer", "at producer.before-flush")
    play.harness.do(*words)


def producer_any_time(play: Round) -> None:
    """Die in the middle of a feed; then send all of it again: what had arrived comes twice."""
    words, child = _start_feed(play)
    seconds = play.pause(1.5)
    if child.kill():
        play.struck("producer", f"{seconds:.1f} s into a feed")
    play.harness.do(*words)


def _start_feed(play: Round) -> tuple[tuple[str, ...], Child]:
    """Start a feed of some seconds; return when the broker has the first of it."""
    words = play.feed(rate=300, total=900)
    before = sum(end_offsets(play.harness.settings, TOPIC).values())
    child = play.harness.start(*words)
    play.harness.until(
        lambda: sum(end_offsets(play.harness.settings, TOPIC).values()) > before or not child.alive, "the first event"
    )
    return words, child


def stream_before_commit(play: Round) -> None:
    """Die with files that no commit names."""
    _stream_at(play, "stream.before-commit")


def stream_after_dead_letters(play: Round) -> None:
    """Die between the two tables."""
    _stream_at(play, "stream.after-dead-letters")


def stream_before_checkpoint(play: Round) -> None:
    """Die with both tables written and Spark not told."""
    _stream_at(play, "stream.before-checkpoint")


def _stream_at(play: Round, name: str) -> None:
    stream = play.harness.ready_stream()
    play.harness.give_order(name)
    play.harness.do(*play.feed())
    if stream.wait() != KILLED:
        raise DrillError(f"the stream ended by itself: {stream.last_words}", "all is as it was.", f"read {stream.log}")
    play.struck("stream", f"at {name}")


def stream_any_time(play: Round) -> None:
    """Kill the stream within a batch: driver and JVM, the driver alone, or the JVM alone."""
    stream = _begin_batch(play)
    seconds, victim = play.pause(1.2), play.chance.choice(("driver and JVM", "driver", "JVM"))
    if stream.kill() if victim == "driver and JVM" else _kill_part(stream, jvm=victim == "JVM"):
        play.struck("stream", f"({victim}) {seconds:.1f} s into a batch")


def _begin_batch(play: Round) -> Child:
    """Feed the stream; return when it has planned a batch that it has not finished."""
    stream, checkpoint = play.harness.ready_stream(), play.harness.layout.checkpoint("bronze")
    before = _batches(checkpoint / "offsets")
    play.harness.do(*play.feed(total=1500))
    play.harness.until(lambda: _batches(checkpoint / "offsets") > before or not stream.alive, "a batch of the stream")
    return stream


def _batches(folder: os.PathLike[str]) -> int:
    try:
        return max((int(name) for name in os.listdir(folder) if name.isdigit()), default=-1)  # noqa: PTH208
    except FileNotFoundError:
        return -1


def _kill_part(stream: Child, *, jvm: bool) -> bool:
    """Kill Python or its JVM; what is left has to end by itself, or is ended after a while."""
    if not stream.alive:
        return False
    driver = psutil.Process(stream.process.pid)
    machines = [each for each in driver.children(recursive=True) if each.name() == "java"]
    victims = machines if jvm else [driver]
    for victim in victims:
        victim.kill()
    try:
        stream.process.wait(60)
    except subprocess.TimeoutExpired:  # a driver that hangs on its dead JVM
        stream.kill()
    psutil.wait_procs(machines, timeout=30)
    return bool(victims)


def broker_under_producer(play: Round) -> None:
    """Kill the broker while a feed comes; the producer waits and goes on by itself."""
    _, child = _start_feed(play)
    seconds = play.pause(1.5)
    play.harness.kill_service("kafka")
    play.struck("broker", f"{seconds:.1f} s into a feed")
    code = child.wait()
    play.harness.wait_for_services()
    if code != 0:
        raise DrillError(f"the producer gave up: {child.last_words}", "what it kept is saved.", f"read {child.log}")


def broker_under_stream(play: Round) -> None:
    """Kill the broker while the stream reads a batch from it."""
    _begin_batch(play)
    seconds = play.pause(0.8)
    play.harness.kill_service("kafka")
    play.struck("broker", f"{seconds:.1f} s into a batch")
    play.harness.wait_for_services()


# --- In the load. There is something in the lake that is not loaded. --------------------------------------------------


def loader_in_copy(play: Round) -> None:
    """Die with a COPY under way."""
    _at(play, "loader", "load", "load.in-copy")


def loader_before_commit(play: Round) -> None:
    """Die with everything written and nothing committed."""
    _at(play, "loader", "load", "load.before-commit")


def loader_after_commit(play: Round) -> None:
    """Die behind the commit, before anybody is told."""
    _at(play, "loader", "load", "load.after-commit")


def _at(play: Round, target: str, command: str, order: str) -> None:
    if play.harness.start(command, failpoint=order).wait() == KILLED:
        play.struck(target, f"at {order}")


def loader_any_time(play: Round) -> None:
    """Kill the loader as soon as its audit row says RUNNING, or a moment later."""
    child = play.harness.start("load")
    running = "select exists (select from metadata.load_audit where status = 'RUNNING')"
    play.harness.until(lambda: play.harness.rows(running) == [(True,)] or not child.alive, "a load")
    seconds = play.pause(0.3)
    if child.kill():
        play.struck("loader", f"{seconds:.1f} s into a load")


def database_in_copy(play: Round) -> None:
    """Kill the database under a COPY."""
    _while_waiting(play, "load", "load.in-copy", "database", lambda _: play.harness.kill_service("postgres"))
    play.harness.wait_for_services()


def _while_waiting(play: Round, command: str, place: str, target: str, strike: Callable[[Child], None]) -> None:
    """Let a command come to a failpoint, strike something there, and let the command go on."""
    here = play.harness.layout.run / "drill-waits"
    child = play.harness.start(command, failpoint=f"{place} {here}")
    play.harness.until(lambda: here.exists() or not child.alive, f"{command} to come to {place}")
    if here.exists():
        strike(child)
        play.struck(target, f"at {place}")
    here.unlink(missing_ok=True)
    child.wait()


# --- In the build. There is a load that is not in the marts. ----------------------------------------------------------


def build_between_models(play: Round) -> None:
    """Die behind one of the first nodes; dbt goes with it."""
    _at(play, "dbt", "build", f"build.between-models:{play.chance.randint(1, 12)}")


def dbt_between_models(play: Round) -> None:
    """Kill dbt alone, behind one of its first nodes."""
    place = f"build.between-models:{play.chance.randint(1, 12)}"
    _while_waiting(play, "build", place, "dbt", _kill_dbt)


def _kill_dbt(build: Child) -> None:
    for process in psutil.Process(build.process.pid).children(recursive=True):
        process.kill()


def dbt_any_time(play: Round) -> None:
    """Kill build and dbt while a statement of dbt runs in the database."""
    child = _until_statement(play)
    seconds = play.pause(1.5)
    if child.kill():
        play.struck("dbt", f"{seconds:.1f} s after a statement began")


def database_under_dbt(play: Round) -> None:
    """Kill the database while a statement of dbt runs in it."""
    child = _until_statement(play)
    seconds = play.pause(1.0)
    if child.alive:
        play.harness.kill_service("postgres")
        play.struck("database", f"{seconds:.1f} s after a statement of dbt began")
    child.wait()
    play.harness.wait_for_services()


def _until_statement(play: Round) -> Child:
    child = play.harness.start("build")
    active = "select exists (select from pg_stat_activity where application_name = 'tieout build' and state <> 'idle')"
    play.harness.until(lambda: play.harness.rows(active) == [(True,)] or not child.alive, "a statement of dbt")
    return child


Strike = Callable[[Round], None]
FRONT: tuple[Strike, ...] = (
    stream_before_commit, stream_after_dead_letters, producer_before_flush, stream_before_checkpoint,
    broker_under_producer, stream_any_time, producer_any_time, broker_under_stream,
)  # fmt: skip
LOAD: tuple[Strike, ...] = (
    loader_in_copy, loader_before_commit, database_in_copy, loader_after_commit, loader_any_time
)  # fmt: skip
BUILD: tuple[Strike, ...] = (build_between_models, dbt_any_time, dbt_between_models, database_under_dbt)


class Deck:
    """Draws strikes by chance, each once before any comes again."""

    def __init__(self, strikes: tuple[Strike, ...], chance: Random) -> None:
        self._strikes = strikes
        self._chance = chance
        self._left: list[Strike] = []

    def draw(self) -> Strike:
        """Return the next one."""
        if not self._left:
            self._left = list(self._strikes)
            self._chance.shuffle(self._left)
        return self._left.pop()
