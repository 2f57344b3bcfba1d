"""Where the stream begins: fresh lakes, topics made anew, offsets that retention took."""

from pathlib import Path
from typing import Any

import pytest
from small_lake import SmallLake, dies_before_bronze, topic_of

from spark_streaming.errors import LakeStateError, OffsetsLostError, TopicRecreatedError
from spark_streaming.start import Acceptance, Loss

pytestmark = pytest.mark.services


@pytest.fixture
def lake(spark: Any, tmp_path: Path) -> SmallLake:
    return SmallLake(spark, tmp_path)


def test_a_fresh_lake_begins_where_the_topic_begins_and_says_so(lake: SmallLake) -> None:
    topic = topic_of({0: 20, 1: 9}, first={0: 12, 1: 0})
    writer = lake.open(topic)
    assert writer.position == {0: 12, 1: 0}
    for table in (lake.bronze, lake.dead_letters):
        [begin] = lake.metadata(table)
        assert begin["start"] == begin["end"] == {"0": 12, "1": 0}
        assert (begin["rows"], begin["begins"]) == (0, True)
    lake.write(writer, {0: 20, 1: 9})
    lake.check({0: 20, 1: 9}, first={0: 12})
    assert lake.open(topic).position == {0: 20, 1: 9}


def test_a_crash_while_a_fresh_lake_begins_loses_nothing_between_the_two_tables(lake: SmallLake) -> None:
    with dies_before_bronze():
        lake.open(topic_of({0: 20}, first={0: 12}))
    assert lake.open(topic_of({0: 20}, first={0: 12})).position == {0: 12}
    with pytest.raises(OffsetsLostError, match="0:12-14"):
        lake.open(topic_of({0: 20}, first={0: 14}))


def test_a_table_that_is_new_beside_a_filled_one_does_not_pass_for_a_fresh_lake(lake: SmallLake) -> None:
    writer = lake.open(topic_of({0: 20}))
    with dies_before_bronze():
        lake.write(writer, {0: 10})
    with pytest.raises(OffsetsLostError, match="0:0-4"):
        lake.open(topic_of({0: 20}, first={0: 4}))


def test_another_topic_of_the_same_name_is_refused_until_it_is_accepted_with_a_reason(lake: SmallLake) -> None:
    lake.write(lake.open(topic_of({0: 10})), {0: 10})
    anew = topic_of({0: 9}, first={0: 2}, topic_id="T2")
    with pytest.raises(TopicRecreatedError) as refusal:
        lake.open(anew)
    assert "--accept-topic T2" in refusal.value.next
    with pytest.raises(TopicRecreatedError):
        lake.open(anew, Acceptance("why", topic_id="T3"))
    with dies_before_bronze():
        lake.open(anew, Acceptance("moved", topic_id="T2"))
    with pytest.raises(TopicRecreatedError, match="bronze"):
        lake.open(anew)
    writer = lake.open(anew, Acceptance("moved", topic_id="T2"))
    assert writer.position == {0: 2}
    for table in (lake.bronze, lake.dead_letters):
        assert lake.metadata(table)[-1]["accepted"] == {"instead_of": "T1", "reason": "moved"}
    lake.write(writer, {0: 9})
    assert [offset for _, offset in lake.offsets(lake.bronze)] == sorted(o for o in [*range(10), *range(2, 9)] if o % 5)
    assert lake.open(anew).position == {0: 9}, "it need not be accepted twice"


def test_lost_offsets_are_refused_until_exactly_they_are_accepted_and_stand_in_both_tables(lake: SmallLake) -> None:
    lake.write(lake.open(topic_of({0: 30, 1: 9})), {0: 10, 1: 9})
    topic = topic_of({0: 30, 1: 9}, first={0: 14, 1: 3})
    with pytest.raises(OffsetsLostError, match="0:10-14") as refusal:
        lake.open(topic)
    assert "--accept-loss 0:10-14 --reason" in refusal.value.next
    for loss in (Loss(0, 12, 14), Loss(0, 10, 15)):
        with pytest.raises(LakeStateError, match="cannot be accepted"):
            lake.open(topic, Acceptance("why", (loss,)))
    with pytest.raises(OffsetsLostError, match="0:12-14"):
        lake.open(topic, Acceptance("half of it", (Loss(0, 10, 12),)))
    writer = lake.open(topic, Acceptance("disk was small", (Loss(0, 10, 14),)))
    assert writer.position == {0: 14, 1: 9}
    for table in (lake.bronze, lake.dead_letters):
        last = lake.metadata(table)[-1]
        assert last["lost"] == [{"partition": 0, "from": 12, "to": 14, "reason": "disk was small"}]
        assert (last["start"], last["end"], last["rows"]) == ({"0": 12, "1": 9}, {"0": 14, "1": 9}, 0)
    lake.write(writer, {0: 30, 1: 9})
    assert [o for p, o in lake.offsets(lake.dead_letters) if p == 0] == [0, 5, 15, 20, 25]
    assert len([o for p, o in lake.offsets(lake.bronze) if p == 0]) == 26 - 5
    assert lake.open(topic).position == {0: 30, 1: 9}


def test_a_topic_that_ends_before_the_lake_does_is_refused(lake: SmallLake) -> None:
    lake.write(lake.open(topic_of({0: 10})), {0: 10})
    with pytest.raises(LakeStateError, match="the broker has lost events"):
        lake.open(topic_of({0: 8}))
