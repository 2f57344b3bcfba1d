"""The stream's part of a run: everything produced before the call is in the lake after it."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from contracts.entities import entity_names, readable_entities
from contracts.model import Entity
from control import offsets
from control.offsets import held_back, topic_id
from control.progress import say
from core.errors import TieoutError
from core.lake import Lake
from core.layout import Layout
from core.locks import is_record_locked
from core.parts import Parts
from core.settings import parse_settings
from spark_streaming.failed_entities import read_failed

PATIENCE_SECONDS = 300.0
LINE_EVERY_SECONDS = 10.0

# For each entity the offsets behind the last events that the lake should have, by partition.
Wanted = Sequence[tuple[Entity, Mapping[int, int]]]


def writer_is_at_work(layout: Layout) -> bool:
    """Say whether some process holds the lake's writer lock. It only asks."""
    return is_record_locked(layout.writer_lock)


def left_out(layout: Layout) -> dict[str, TieoutError]:
    """Return the errors of the entities that the stream which is at work does not serve."""
    return read_failed(layout) if writer_is_at_work(layout) else {}


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

    An entity whose topic or tables cannot be asked, or whose events do not come, does not stop the others.

    Returns:
        how many offsets wait for an open transaction.

    Raises:
        TieoutError: the broker is away, the stream stands still, or the stream of our own failed; of which entities,
            where it is not so of all.
    """
    lake, parts = Lake.of(parse_settings(settings, layout), layout), Parts(entity_names())
    asked = []
    for entity in readable_entities(parts):
        with parts.part(entity.name):
            _refuse_another_topic(lake, entity, topic_id(settings, entity.topic.name))
            ends, held = held_back(settings, entity.topic.name)
            # Once before the wait: a table whose log cannot be read will never have them.
            asked.append((entity, ends, held, behind(lake, [(entity, ends)])))
    wanted = [(entity, ends) for entity, ends, _, left in asked if left]
    if wanted and (service_runs or writer_is_at_work(layout)):
        _wait(layout, lake, wanted, parts)
    elif wanted:
        ended = _drain()
        _wait(layout, lake, wanted, parts, patience=5, ended=ended)
    parts.raise_failed()
    return sum(held for _, _, held, _ in asked)


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


def _drain() -> TieoutError | None:
    """Run a stream of our own until the lake has what there is; return the error of one that could not."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "control", "stream", "--once"],
        stdout=sys.stderr,
        check=False,
    )
    if done.returncode == 0:
        return None
    return TieoutError(
        f"stream --once ended with exit code {done.returncode}; its own message is above.",
        "the lake holds whole batches only; nothing was loaded.",
        "./scripts/tieout run again, once the cause is gone",
    )


def _wait(
    layout: Layout,
    lake: Lake,
    wanted: Wanted,
    parts: Parts,
    *,
    patience: float = PATIENCE_SECONDS,
    ended: TieoutError | None = None,
) -> None:
    """Wait until the lake accounts for the offsets; give an entity up only when it stands still for the whole patience.

    Args:
        parts: of the entities that are given up.
        ended: the error of the stream, where none is at work any more.
    """
    waiting = {entity.name: (entity, ends) for entity, ends in wanted}
    least = {name: (behind(lake, [each]), time.monotonic()) for name, each in waiting.items()}
    said = time.monotonic()
    while waiting:
        failed, left = read_failed(layout), dict.fromkeys(waiting, 0)
        for name, each in list(waiting.items()):
            with parts.part(name):
                left[name] = behind(lake, [each])
                if left[name] < least[name][0]:
                    least[name] = left[name], time.monotonic()
                if left[name] and (error := failed.get(name) or ended):
                    raise error
                if left[name] and time.monotonic() - least[name][1] > patience:
                    raise _stands_still(left[name], patience)
            if not left[name] or name in parts.failed:
                del waiting[name]
        if waiting and time.monotonic() - said >= LINE_EVERY_SECONDS:
            say(f"  waiting for the stream: {sum(left.values())} events to go")
            said = time.monotonic()
        if waiting:
            time.sleep(0.5)


def _stands_still(left: int, seconds: float) -> TieoutError:
    return TieoutError(
        f"the stream stands still: {left} events are not in the lake, and none came in {seconds:.0f} s.",
        "what is in the lake is whole; nothing was loaded.",
        "./scripts/tieout logs stream, or ./scripts/tieout doctor",
    )
