"""Offsets of a batch that no event has: shown to be a transaction's, accepted as lost, or a reason to refuse the batch.

The stream reads what producers have committed. Kafka keeps one offset of each transaction as its marker, and the
records of an aborted one are given to nobody. Any other gap means that the broker has lost events.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby

from pyspark.sql import DataFrame
from pyspark.sql.functions import lag
from pyspark.sql.window import Window

from spark_streaming.ends import Ends
from spark_streaming.errors import OffsetsMissingError
from spark_streaming.start import Acceptance, Loss

MOST_NAMED = 20


@dataclass(frozen=True)
class Topic:
    """How a writer asks Kafka about a gap.

    Attributes:
        uncommitted: partition and offset of every record between two ends, aborted transactions included.
        first: for each partition the oldest offset that is still there.
        is_compacted: the broker may remove single records: no record is then no sign of a marker.
        option: what a command needs, to be about the topic's entity.
    """

    uncommitted: Callable[[Ends, Ends], DataFrame]
    first: Callable[[], Ends]
    is_compacted: Callable[[], bool]
    option: str = ""


def explain_gaps(
    topic: Topic, start: Ends, end: Ends, missing: Mapping[int, int], acceptance: Acceptance | None
) -> list[Loss]:
    """Return those of a batch's missing offsets that are lost and accepted; all others are a transaction's.

    Args:
        topic: how to ask Kafka.
        start: for each partition the batch's first offset.
        end: for each partition the offset behind its last one.
        missing: how many offsets of each partition no event has; partitions without any are left out.
        acceptance: what an operator has accepted.

    Raises:
        OffsetsMissingError: an offset is neither a transaction's nor accepted.
    """
    start, end = ({p: ends.get(p, 0) for p in missing} for ends in (start, end))
    empty = _without_record(topic.uncommitted(start, end), start, end)
    # Behind the reading: what retention has removed by now may have been a record before.
    first, is_compacted = topic.first(), topic.is_compacted()
    lost: list[Loss] = []
    for partition, count in missing.items():
        spans = [span for span in empty if span.partition == partition]
        if sum(span.end - span.first for span in spans) > count:
            raise _refusal(spans, "the broker has fewer records than it delivered", start, first, topic.option)
        lost += [part for span in spans if (part := _not_a_marker(span, first.get(partition, 0), is_compacted))]
    refused = [span for span in lost if not _is_accepted(span, acceptance)]
    if refused:
        why = "the topic is compacted" if is_compacted else "retention has removed them"
        raise _refusal(refused, why, start, first, topic.option)
    return lost


def _without_record(records: DataFrame, start: Ends, end: Ends) -> list[Loss]:
    """Return the spans of a batch in which Kafka has no record at all."""
    session = records.sparkSession
    edges = [(p, start[p] - 1) for p in start] + [(p, end[p]) for p in end]
    known = records.unionByName(session.createDataFrame(edges, "`partition` int, `offset` bigint"))
    before = lag("offset").over(Window.partitionBy("partition").orderBy("offset"))
    gaps = known.withColumn("before", before).where("`offset` - `before` > 1")
    spans = [Loss(row["partition"], row["before"] + 1, row["offset"]) for row in gaps.collect()]
    return sorted(spans, key=lambda span: (span.partition, span.first))


def _not_a_marker(span: Loss, first: int, is_compacted: bool) -> Loss | None:
    """Return the part of a span without records that need not have been a transaction's markers."""
    if is_compacted:
        return span
    return Loss(span.partition, span.first, min(span.end, first)) if span.first < first else None


def _is_accepted(span: Loss, acceptance: Acceptance | None) -> bool:
    return any(
        loss.partition == span.partition and loss.first <= span.first and span.end <= loss.end
        for loss in (acceptance.losses if acceptance else ())
    )


def _to_accept(spans: list[Loss], start: Ends, first: Ends) -> list[Loss]:
    """Return what accepts all of these spans in one run.

    What lies below a partition's first offset is skipped when the lake is opened: from the lake's end up to there.
    Of more spans than a person would type there is one a partition, which reaches over all of its own.
    """
    found = []
    for partition, each in groupby(spans, key=lambda span: span.partition):
        own, begin = list(each), first.get(partition, 0)
        below = [Loss(partition, start[partition], begin)] if own[0].first < begin else []
        above = [Loss(partition, max(span.first, begin), span.end) for span in own if span.end > begin]
        if above and len(spans) > MOST_NAMED:
            above = [Loss(partition, above[0].first, above[-1].end)]
        found += below + above
    return found


def _refusal(spans: list[Loss], why: str, start: Ends, first: Ends, option: str) -> OffsetsMissingError:
    named = spans[:MOST_NAMED]
    more = f" and {len(spans) - MOST_NAMED} more spans" if len(spans) > MOST_NAMED else ""
    options = " ".join(f"--accept-loss {span}" for span in _to_accept(spans, start, first))
    return OffsetsMissingError(
        f"Kafka has no records at {', '.join(map(str, named))}{more} (partition:from-to), "
        f"and nothing shows that they were a transaction's markers: {why}.",
        "nothing of the batch was written; the lake ends before it.",
        f'./scripts/tieout stream --once {option}{options} --reason "..." (writes the loss to the books)',
    )
