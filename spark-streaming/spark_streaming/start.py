"""Where the stream begins: by what the tables record, and by what the broker still has."""

from dataclasses import dataclass

from pyspark.sql import SparkSession

from spark_streaming import tables
from spark_streaming.broker import TopicState
from spark_streaming.ends import Ends, Recorded, commit_metadata, lower
from spark_streaming.errors import LakeStateError, OffsetsLostError, TopicRecreatedError
from spark_streaming.tables import LakeTable


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
    """

    reason: str
    losses: tuple[Loss, ...] = ()
    topic_id: str | None = None


def open_lake(
    spark: SparkSession, topic: TopicState, lake: tuple[LakeTable, LakeTable], acceptance: Acceptance | None
) -> tuple[dict[str, Ends], dict[int, int]]:
    """Make missing tables; return each table's ends, and where the next batch begins.

    Raises:
        TopicRecreatedError: the tables were filled from another topic of the same name.
        OffsetsLostError: the broker has removed offsets that the tables do not have.
        LakeStateError: the tables are ahead of the topic.
    """
    found: dict[str, Recorded] = {}
    for table in lake:
        tables.create(spark, table)
        found[table.name] = tables.recorded(spark, table)
        _refuse_another_topic(found[table.name], topic, table, acceptance)
    # Dead letters first, as in every batch.
    for table in reversed(lake):
        if found[table.name].topic_id != topic.topic_id:
            others = [found[other.name] for other in lake if other is not table]
            found[table.name] = _begin(
                spark, topic, table, found=found[table.name], other=others[0], acceptance=acceptance
            )
    ends = {name: record.ends for name, record in found.items()}
    for loss in acceptance.losses if acceptance else ():
        _skip(spark, topic, lake, ends, loss=loss, reason=acceptance.reason if acceptance else "")
    bronze, dead_letters = (ends[table.name] for table in lake)
    reached = lower(bronze, dead_letters)
    position = {partition: reached.get(partition, 0) for partition in topic.next}
    _refuse_loss(topic, position, bronze, dead_letters)
    return ends, position


def _refuse_another_topic(found: Recorded, topic: TopicState, table: LakeTable, acceptance: Acceptance | None) -> None:
    if found.topic_id in {None, topic.topic_id} or (acceptance and acceptance.topic_id == topic.topic_id):
        return
    raise TopicRecreatedError(
        f"Topic {topic.name} was made anew: its id is {topic.topic_id}, "
        f"and {table.name} was filled from {found.topic_id}.",
        "the lake keeps what it has; nothing of the new topic was read.",
        f'./scripts/tieout stream --accept-topic {topic.topic_id} --reason "..." (goes on with the new topic), '
        "or ./scripts/tieout reset (starts over)",
    )


def _begin(
    spark: SparkSession,
    topic: TopicState,
    table: LakeTable,
    *,
    found: Recorded,
    other: Recorded,
    acceptance: Acceptance | None,
) -> Recorded:
    """Let a table begin with a topic: where the topic itself begins, for the lake has missed nothing before that.

    A table that stands beside a filled one has missed something: it begins at 0, and what is gone must be accepted.
    """
    if other.topic_id == topic.topic_id and not other.begins:
        return Recorded(topic.topic_id)
    first, accepted = topic.first, {}
    if found.topic_id is not None and acceptance is not None:
        accepted = {"accepted": {"instead_of": found.topic_id, "reason": acceptance.reason}}
    elif not any(first.values()):
        return Recorded(topic.topic_id)
    metadata = commit_metadata(topic.name, topic.topic_id, first, first, 0, begins=True, **accepted)
    _commit_no_rows(spark, table, topic, metadata, first)
    return Recorded(topic.topic_id, first, begins=True)


def _commit_no_rows(spark: SparkSession, table: LakeTable, topic: TopicState, metadata: str, ends: Ends) -> None:
    empty = spark.read.format("delta").load(table.uri).limit(0)
    tables.append(table, empty, metadata, tables.app_id(table, topic.topic_id), sum(ends.values()))


def _refuse_loss(topic: TopicState, position: Ends, *ends: Ends) -> None:
    removed = [Loss(p, position[p], first) for p, first in sorted(topic.first.items()) if position[p] < first]
    if removed:
        spans = " ".join(f"--accept-loss {loss}" for loss in removed)
        raise OffsetsLostError(
            f"Topic {topic.name} no longer has the offsets {', '.join(map(str, removed))} (partition:from-to): "
            "retention removed them before they were read.",
            "the lake keeps what it has and ends before them.",
            f'./scripts/tieout stream {spans} --reason "..." (writes the loss to the books)',
        )
    for table in ends:
        ahead = [p for p, end in table.items() if end > topic.next.get(p, 0)]
        if ahead:
            p = ahead[0]
            raise LakeStateError(
                f"The lake has partition {p} up to {table[p]}, but topic {topic.name} ends at {topic.next.get(p, 0)}: "
                "the broker has lost events that it once delivered.",
                "the lake keeps what it has; nothing was read.",
                "restore the broker's log, or make the topic anew and ./scripts/tieout stream --accept-topic ID",
            )


def _skip(
    spark: SparkSession,
    topic: TopicState,
    lake: tuple[LakeTable, LakeTable],
    ends: dict[str, Ends],
    *,
    loss: Loss,
    reason: str,
) -> None:
    """Move both tables' ends over lost offsets; the loss stands in the commit's metadata."""
    for table in reversed(lake):
        had = ends[table.name]
        reached = had.get(loss.partition, 0)
        if reached >= loss.end or loss.first >= topic.first.get(loss.partition, 0):
            continue
        if reached < loss.first or loss.end > topic.first.get(loss.partition, 0):
            raise LakeStateError(
                f"The loss {loss} cannot be accepted: {table.name} ends at {reached}, "
                f"and the topic begins at {topic.first.get(loss.partition, 0)}.",
                "nothing was skipped.",
                "./scripts/tieout stream (it names what is lost)",
            )
        end = {**had, loss.partition: loss.end}
        lost = [{"partition": loss.partition, "from": reached, "to": loss.end, "reason": reason}]
        metadata = commit_metadata(topic.name, topic.topic_id, {**dict.fromkeys(end, 0), **had}, end, 0, lost=lost)
        _commit_no_rows(spark, table, topic, metadata, end)
        ends[table.name] = end
