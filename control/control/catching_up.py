"""The stream's part of a run: everything produced before the call is in the lake after it."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from contracts.entities import load_entities
from contracts.model import Entity
from control import offsets
from control.env import lake_of
from control.offsets import held_back, topic_id
from control.progress import say
from core.errors import TieoutError
from core.lake import Lake
from core.layout import Layout
from core.locks import is_record_locked

PATIENCE_SECONDS = 300.0
LINE_EVERY_SECONDS = 10.0

# For each entity the offsets behind the last events that the lake should have, by partition.
Wanted = Sequence[tuple[Entity, Mapping[int, int]]]


def writer_is_at_work(layout: Layout) -> bool:
    """Say whether some process holds the lake's writer lock. It only asks."""
    return is_record_locked(layout.writer_lock)


def stream_is_ready(layout: Layout, pid: int | None) -> bool:
    """Say whether the stream's queries run in the process `pid`: lock, topics and offsets have let it in."""
    try:
        return pid is not None and layout.stream_ready.read_text(encoding="utf-8") == str(pid)
    except FileNotFoundError:
        return False


def lake_ends(lake: Lake, entity: Entity) -> dict[int, int]:
    """Return the offsets that both tables of an entity account for, by partition: the lower of the two."""
    from warehouse.delta_log import recorded_ends

    bronze, dead_letters = (recorded_ends(lake.table(name)) for name in (entity.bronze, entity.dead_letters))
    return {partition: min(end, dead_letters.get(partition, 0)) for partition, end in bronze.items()}


def catch_up(layout: Layout, settings: Mapping[str, str], *, service_runs: bool) -> int:
    """Bring the lake to the committed offsets that Kafka has now.

    A transaction that is still open is not waited for: it, and what came after it in its partition, is for a later run.

    Args:
        service_runs: a stream is supervised: wait for it. Otherwise wait for whoever holds the writer's lock, and
            when nobody does, drain with a stream of our own.

    Returns:
        how many offsets wait for an open transaction.

    Raises:
        TieoutError: the broker is away, the stream stands still, or the stream of our own failed.
    """
    lake, entities = lake_of(layout, settings), load_entities()
    for entity in entities:
        _refuse_another_topic(lake, entity, topic_id(settings, entity.topic.name))
    asked = [(entity, *held_back(settings, entity.topic.name)) for entity in entities]
    wanted = [(entity, ends) for entity, ends, _ in asked]
    left = behind(lake, wanted)
    if left and (service_runs or writer_is_at_work(layout)):
        _wait(lake, wanted)
    elif left:
        _drain()
        _wait(lake, wanted, patience=5)
    return sum(held for _, _, held in asked)


def behind(lake: Lake, wanted: Wanted) -> int:
    """Return how many events lie between what the lake accounts for and what is wanted."""
    return sum(offsets.behind(ends, lake_ends(lake, entity)) for entity, ends in wanted)


def _refuse_another_topic(lake: Lake, entity: Entity, found: str) -> None:
    """Offsets of two topics of the same name say nothing about each other."""
    from spark_streaming.names import option
    from warehouse.delta_log import newest_record

    known, _ = newest_record(lake.table(entity.bronze))
    if known is not None and known != found:
        raise TieoutError(
            f"topic {entity.topic.name} was made anew: its id is {found}, and the lake was filled from {known}.",
            "what is in the lake is whole; nothing of the new topic was read.",
            f'./scripts/tieout stream --once {option(entity)}--accept-topic {found} --reason "..." '
            "(goes on with the new topic), or ./scripts/tieout reset (starts over)",
        )


def _drain() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "control", "stream", "--once"],
        stdout=sys.stderr,
        check=False,
    )
    if done.returncode != 0:
        raise TieoutError(
            f"stream --once ended with exit code {done.returncode}; its own message is above.",
            "the lake holds whole batches only; nothing was loaded.",
            "./scripts/tieout run again, once the cause is gone",
        )


def _wait(lake: Lake, wanted: Wanted, patience: float = PATIENCE_SECONDS) -> None:
    """Wait until the lake accounts for the offsets; give up only when it stands still for the whole patience."""
    least, moved, said = behind(lake, wanted), time.monotonic(), time.monotonic()
    while left := behind(lake, wanted):
        now = time.monotonic()
        if left < least:
            least, moved = left, now
        if now - moved > patience:
            raise TieoutError(
                f"the stream stands still: {left} events are not in the lake, and none came in {patience:.0f} s.",
                "what is in the lake is whole; nothing was loaded.",
                "./scripts/tieout logs stream, or ./scripts/tieout doctor",
            )
        if now - said >= LINE_EVERY_SECONDS:
            say(f"  waiting for the stream: {left} events to go")
            said = now
        time.sleep(0.5)
