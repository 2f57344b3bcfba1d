"""Where the stream begins: by what the tables record, and by what the broker still has."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from contracts.model import PAYMENTS, Entity
from spark_streaming import names
from spark_streaming.broker import TopicState
from spark_streaming.ends import Ends, Recorded, lower
from spark_streaming.errors import LakeStateError, OffsetsLostError, TopicRecreatedError
from spark_streaming.owned_table import OwnedTable
from spark_streaming.tables import StreamTable


@dataclass(frozen=True)
class Loss:
    """Offsets that are gone: from `first` up to, but without, `end`."""

    partition: int
    first: int
    end: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.first}-{self.end}"


@dataclass(frozen=True)
class Acceptance:
    """What an operator accepts, in the operator's own words.

    Attributes:
        losses: offsets that will never be in the lake: what retention took before the topic's first offset is skipped
            at the start, what is missing behind it when its batch comes.
        topic_id: the topic that the lake goes on with, though it was filled from another.
        entity: the name of the entity whose topic it is.
    """

    reason: str
    losses: tuple[Loss, ...] = ()
    topic_id: str | None = None
    entity: str = PAYMENTS

    def as_json(self) -> dict[str, Any]:
        """Return it as a request to the running stream holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Acceptance":
        """Return what a request holds."""
        losses = tuple(Loss(**loss) for loss in told["losses"])
        return cls(told["reason"], losses, told["topic_id"], told["entity"])


def open_lake(
    topic: TopicState, lake: tuple[StreamTable, StreamTable], acceptance: Acceptance | None
) -> tuple[OwnedTable, OwnedTable, dict[int, int]]:
    """Take an entity's part of the lake over; return its tables, and where the next batch begins.

    Args:
        topic: what the broker has.
        lake: bronze, then the dead letters, of one entity; made where they are missing.
        acceptance: a loss, or another topic, that the operator accepts.

    Raises:
        TopicRecreatedError: the tables were filled from another topic of the same name.
        OffsetsLostError: the broker has removed offsets that the tables do not have.
        LakeStateError: the tables are ahead of the topic.
        LakeTakenError: another process takes the lake over at the same time.
    """
    bronze, dead_letters = (OwnedTable.take_over(table, topic.name) for table in lake)
    for owned in (bronze, dead_letters):
        _refuse_another_topic(owned, topic, acceptance)
    # Dead letters first, as in every batch.
    for owned, other in ((dead_letters, bronze), (bronze, dead_letters)):
        if owned.topic_id != topic.topic_id:
            _begin(topic, owned, other=other.found, acceptance=acceptance)
    for loss in acceptance.losses if acceptance else ():
        for owned in (dead_letters, bronze):
            _skip(topic, owned, loss=loss, reason=acceptance.reason if acceptance else "")
    reached = lower(bronze.ends, dead_letters.ends)
    position = {partition: reached.get(partition, 0) for partition in topic.next}
    _refuse_loss(topic, bronze.table.entity, position, bronze.ends, dead_letters.ends)
    return bronze, dead_letters, position


def _refuse_another_topic(owned: OwnedTable, topic: TopicState, acceptance: Acceptance | None) -> None:
    if owned.topic_id in {None, topic.topic_id} or (acceptance and acceptance.topic_id == topic.topic_id):
        return
    raise TopicRecreatedError(
        f"Topic {topic.name} was made anew: its id is {topic.topic_id}, "
        f"and {owned.table.name} was filled from {owned.topic_id}.",
        "the lake keeps what it has; nothing of the new topic was read.",
        f"./scripts/tieout stream {names.option(owned.table.entity)}--accept-topic {topic.topic_id} "
        '--reason "..." (goes on with the new topic), '
        "or ./scripts/tieout reset (starts over)",
    )


def _begin(topic: TopicState, owned: OwnedTable, *, other: Recorded, acceptance: Acceptance | None) -> None:
    """Let a table begin with a topic: where the topic itself begins, for the lake has missed nothing before that.

    A table that stands beside a filled one has missed something: it begins at 0, and what is gone must be accepted.
    """
    found, first = owned.found, topic.first
    if other.topic_id == topic.topic_id and not other.begins:
        owned.begin(topic.topic_id, first, write=False)
    elif found.topic_id is not None and acceptance is not None:
        accepted = {"instead_of": found.topic_id, "reason": acceptance.reason}
        owned.begin(topic.topic_id, first, write=True, accepted=accepted)
    else:
        owned.begin(topic.topic_id, first, write=any(first.values()))


def _refuse_loss(topic: TopicState, entity: Entity, position: Ends, *ends: Ends) -> None:
    removed = [Loss(p, position[p], first) for p, first in sorted(topic.first.items()) if position[p] < first]
    if removed:
        spans = " ".join(f"--accept-loss {loss}" for loss in removed)
        raise OffsetsLostError(
            f"Topic {topic.name} no longer has the offsets {', '.join(map(str, removed))} (partition:from-to): "
            "retention removed them before they were read.",
            "the lake keeps what it has and ends before them.",
            f'./scripts/tieout stream {names.option(entity)}{spans} --reason "..." (writes the loss to the books)',
        )
    for table in ends:
        ahead = [p for p, end in table.items() if end > topic.next.get(p, 0)]
        if ahead:
            p = ahead[0]
            raise LakeStateError(
                f"The lake has partition {p} up to {table[p]}, but topic {topic.name} ends at {topic.next.get(p, 0)}: "
                "the broker has lost events that it once delivered.",
                "the lake keeps what it has; nothing was read.",
                "restore the broker's log, or make the topic anew and "
                f"./scripts/tieout stream {names.option(entity)}--accept-topic ID",
            )


def _skip(topic: TopicState, owned: OwnedTable, *, loss: Loss, reason: str) -> None:
    """Move a table's ends over lost offsets; the loss stands in the commit's metadata."""
    reached, first = owned.ends.get(loss.partition, 0), topic.first.get(loss.partition, 0)
    if reached >= loss.end or loss.first >= first:
        return
    if reached < loss.first or loss.end > first:
        raise LakeStateError(
            f"The loss {loss} cannot be accepted: {owned.table.name} ends at {reached}, "
            f"and the topic begins at {first}.",
            "nothing was skipped.",
            "./scripts/tieout stream (it names what is lost)",
        )
    lost = [{"partition": loss.partition, "from": reached, "to": loss.end, "reason": reason}]
    owned.commit([], owned.ends, {**owned.ends, loss.partition: loss.end}, lost=lost)
