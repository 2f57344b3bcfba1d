"""The arithmetic of ends, without Spark."""

import json

from hypothesis import given
from hypothesis import strategies as st

from spark_streaming.ends import (
    Recorded,
    commit_metadata,
    further,
    lower,
    moves_on,
    read_metadata,
    show,
)

ENDS = st.dictionaries(st.integers(0, 9), st.integers(0, 2**62), max_size=6)


@given(ENDS, ENDS)
def test_what_a_commit_records_is_read_back(start: dict[int, int], end: dict[int, int]) -> None:
    start = {**dict.fromkeys(end, 0), **start}
    text = commit_metadata("transactions", "T1", start, end, 3)
    assert read_metadata(text) == Recorded("T1", end)
    assert json.loads(text) == {
        "tieout": 1, "topic_id": "T1", "topic": "transactions", "rows": 3,
        "start": {str(p): n for p, n in start.items()}, "end": {str(p): n for p, n in end.items()},
    }  # fmt: skip


def test_a_commit_of_somebody_else_is_passed_over() -> None:
    for text in (None, "", "no json", "[]", "1", '{"batch": 1}', '{"tieout": 2, "topic_id": "x", "end": {}}'):
        assert read_metadata(text) is None


def test_a_commit_that_only_begins_says_so() -> None:
    found = read_metadata(commit_metadata("transactions", "T1", {0: 5}, {0: 5}, 0, begins=True))
    assert found == Recorded("T1", {0: 5}, begins=True)


@given(ENDS, ENDS)
def test_the_lower_and_the_further_end_know_every_partition_of_both(one: dict[int, int], other: dict[int, int]) -> None:
    low, high = lower(one, other), further(one, other)
    assert low.keys() == high.keys() == one.keys() | other.keys()
    for partition in low:
        pair = (one.get(partition, 0), other.get(partition, 0))
        assert (low[partition], high[partition]) == (min(pair), max(pair))


@given(ENDS, ENDS)
def test_a_batch_moves_a_table_on_where_it_ends_beyond_it(ends: dict[int, int], batch: dict[int, int]) -> None:
    assert moves_on(ends, batch) == (further(ends, batch) != {**dict.fromkeys(batch, 0), **ends})
    assert not moves_on(further(ends, batch), batch)


def test_a_batch_is_shown_by_the_partitions_that_have_something_new() -> None:
    assert show({0: 17, 1: 4}, {0: 40, 1: 4, 3: 6}) == "0:17-40 3:0-6"
    assert show({0: 4}, {0: 4}) == "none"
