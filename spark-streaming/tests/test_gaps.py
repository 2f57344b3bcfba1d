"""Offsets that no event has: a transaction's are passed, any other gap stops the stream before it writes."""

from pathlib import Path
from typing import Any

import pytest
from small_lake import SmallLake, dies_before_bronze, topic_of

from core.spans import OFFSETS
from spark_streaming.errors import LakeStateError, OffsetsMissingError
from spark_streaming.start import Acceptance, Loss


@pytest.fixture
def lake(spark: Any, tmp_path: Path) -> SmallLake:
    return SmallLake(spark, tmp_path)


def test_a_batch_without_gaps_asks_kafka_nothing_and_says_nothing_of_them(lake: SmallLake) -> None:
    lake.uncommitted = None  # type: ignore[assignment,method-assign]
    report = lake.write(lake.open(topic_of({0: 10})), {0: 10})
    assert (report.rows, report.gaps) == (10, 0)
    assert "without_event" not in str(report)
    assert "gaps" not in lake.metadata(lake.bronze)[-1]


def test_markers_and_aborted_records_are_counted_in_both_tables_and_the_ends_pass_them(lake: SmallLake) -> None:
    lake.markers, lake.aborted = frozenset({(0, 4), (0, 9), (1, 2)}), frozenset({(0, 3), (0, 8)})
    writer = lake.open(topic_of({0: 10, 1: 3}))
    report = lake.write(writer, {0: 10, 1: 3})
    assert (report.rows, report.gaps) == (8, 5)
    assert "without_event=5" in str(report)
    assert writer.position == {0: 10, 1: 3}
    for table in (lake.bronze, lake.dead_letters):
        last = lake.metadata(table)[-1]
        assert last["gaps"] == {"0": 4, "1": 1}
        assert last["end"] == {"0": 10, "1": 3}
    wanted = {(0, n) for n in range(10)} | {(1, n) for n in range(3)}
    assert set(lake.offsets(lake.bronze) + lake.offsets(lake.dead_letters)) == wanted - lake.markers - lake.aborted


def test_a_batch_of_an_aborted_transaction_alone_moves_the_ends(lake: SmallLake) -> None:
    lake.markers, lake.aborted = frozenset({(0, 1)}), frozenset({(0, 0)})
    assert lake.write(lake.open(topic_of({0: 2})), {0: 2}).rows == 0
    assert lake.metadata(lake.bronze)[-1]["gaps"] == {"0": 2}
    assert lake.open(topic_of({0: 2})).position == {0: 2}


def test_a_table_that_is_ahead_counts_only_the_gaps_that_it_does_not_have(lake: SmallLake) -> None:
    lake.markers = frozenset({(0, 2), (0, 7), (0, 12)})
    writer = lake.open(topic_of({0: 14}))
    with dies_before_bronze():
        lake.write(writer, {0: 8})
    lake.write(lake.open(topic_of({0: 14})), {0: 14})
    assert [each.get("gaps") for each in lake.metadata(lake.dead_letters)] == [{"0": 2}, {"0": 1}]
    assert [each.get("gaps") for each in lake.metadata(lake.bronze)] == [{"0": 3}]
    wanted = {(0, n) for n in range(14)} - lake.markers
    assert sorted(lake.offsets(lake.bronze) + lake.offsets(lake.dead_letters)) == sorted(wanted)


def accepted(refusal: OffsetsMissingError) -> Acceptance:
    """Return what the printed command accepts."""
    spans = [tuple(map(int, span.groups())) for span in OFFSETS.finditer(refusal.next)]
    assert spans
    return Acceptance("as printed", tuple(Loss(*span) for span in spans))


def test_what_retention_took_in_a_batch_is_skipped_with_the_printed_command(lake: SmallLake) -> None:
    lake.write(lake.open(topic_of({0: 2})), {0: 2})
    lake.markers, lake.first = frozenset({(0, 4), (0, 5)}), {0: 6}
    with pytest.raises(OffsetsMissingError, match="retention has removed them") as refusal:
        lake.write(lake.open(topic_of({0: 10})), {0: 10})
    assert "at 0:4-6 (" in refusal.value.what
    assert "--once --accept-loss 0:2-6 --reason" in refusal.value.next
    lake.write(lake.open(topic_of({0: 10}, first={0: 6}), accepted(refusal.value)), {0: 10})
    for table in (lake.bronze, lake.dead_letters):
        found = [each["lost"] for each in lake.metadata(table) if "lost" in each]
        assert found == [[{"partition": 0, "from": 2, "to": 6, "reason": "as printed"}]]
    assert sorted(lake.offsets(lake.bronze) + lake.offsets(lake.dead_letters)) == [(0, n) for n in (0, 1, 6, 7, 8, 9)]


def test_many_gaps_are_accepted_with_one_span_a_partition(lake: SmallLake) -> None:
    ends = {0: 100, 1: 50}
    lake.markers = frozenset((p, n) for p, end in ends.items() for n in range(3, end, 2))
    lake.is_compacted, lake.first = True, {0: 4, 1: 0}
    with pytest.raises(OffsetsMissingError, match="and 53 more spans") as refusal:
        lake.write(lake.open(topic_of(ends)), ends)
    assert refusal.value.next.count("--accept-loss") == 3
    assert "--accept-loss 0:0-4 --accept-loss 0:5-100 --accept-loss 1:3-50 --reason" in refusal.value.next
    topic = topic_of(ends, first={0: 4, 1: 0})
    lake.write(lake.open(topic, accepted(refusal.value)), ends)
    assert lake.open(topic).position == ends


def test_a_gap_of_a_compacted_topic_stops_the_batch_until_it_is_accepted(lake: SmallLake) -> None:
    lake.markers, lake.is_compacted = frozenset({(0, 4), (0, 5)}), True
    topic = topic_of({0: 10})
    with pytest.raises(OffsetsMissingError, match="0:4-6") as refusal:
        lake.write(lake.open(topic), {0: 10})
    assert "compacted" in refusal.value.what
    assert "--accept-loss 0:4-6 --reason" in refusal.value.next
    assert lake.offsets(lake.bronze) + lake.offsets(lake.dead_letters) == []
    with pytest.raises(OffsetsMissingError):
        lake.write(lake.open(topic, Acceptance("half of it", (Loss(0, 4, 5),))), {0: 10})
    lake.write(lake.open(topic, Acceptance("somebody compacted it", (Loss(0, 4, 6),))), {0: 10})
    for table in (lake.bronze, lake.dead_letters):
        last = lake.metadata(table)[-1]
        assert last["lost"] == [{"partition": 0, "from": 4, "to": 6, "reason": "somebody compacted it"}]
        assert "gaps" not in last
    assert lake.open(topic).position == {0: 10}


def test_only_the_part_of_a_gap_below_the_first_offset_is_in_doubt(lake: SmallLake) -> None:
    lake.markers, lake.first = frozenset({(0, 4), (0, 5), (0, 8)}), {0: 5}
    with pytest.raises(OffsetsMissingError, match=r"at 0:4-5 \("):
        lake.write(lake.open(topic_of({0: 10})), {0: 10})


def test_a_record_that_was_read_and_that_kafka_no_longer_has_stops_the_batch(lake: SmallLake) -> None:
    lake.aborted = frozenset({(0, 3)})
    writer = lake.open(topic_of({0: 10}))
    given = [(0, n) for n in range(10) if n != 3]
    lake.markers = frozenset({(0, 3), (0, 4)})
    with pytest.raises(OffsetsMissingError, match="fewer records"):
        writer.write(lake.messages(given), 0, {0: 10})


def test_a_loss_that_straddles_the_first_offset_is_still_refused(lake: SmallLake) -> None:
    lake.write(lake.open(topic_of({0: 10})), {0: 5})
    with pytest.raises(LakeStateError, match="cannot be accepted"):
        lake.open(topic_of({0: 20}, first={0: 8}), Acceptance("why", (Loss(0, 5, 9),)))
