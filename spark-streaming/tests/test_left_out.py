"""Which queries begin, which are left out, which are tried again, and when the stream ends as a whole."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import OutageError, RefusalError, TieoutError
from core.layout import CHECKOUT, Layout
from core.settings import Settings
from spark_streaming import queries
from spark_streaming.errors import BrokerAwayError, LakeFullError, LakeStateError, LakeTakenError, StreamError
from spark_streaming.failed_entities import read_failed
from spark_streaming.queries import Queries

ONCE = {"availableNow": True}
ADDED = "assertion failed: If startingOffsets contains specific offsets, you must specify all TopicPartitions"
Opened = dict[str, list[Exception | None]]


class Query:
    """Stands in for Spark's: one that is drained has ended when it is first looked at."""

    def __init__(self, trigger: Any) -> None:
        self.isActive = trigger != ONCE

    def awaitTermination(self, _: float = 0) -> None:  # noqa: N802
        """Spark's name."""

    def stop(self) -> None:
        self.isActive = False


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout(CHECKOUT, tmp_path)
    found.run.mkdir(parents=True)
    return found


@pytest.fixture
def stream(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Queries]]:
    """Makes a stream of payments and refunds whose tables open with these errors, one a try; None opens them."""
    monkeypatch.setattr(Queries, "_start", lambda self, _: Query(self._trigger))

    def make(**errors: Exception | None) -> Queries:
        opened: Opened = {name: [error] for name, error in errors.items()}

        def open_writer(name: str, _: Any) -> Any:
            if (error := opened[name].pop(0) if opened.get(name) else None) is not None:
                raise error
            return SimpleNamespace(topic=name, position={}, entity=SimpleNamespace(name=name))

        return Queries(Settings(), layout, ("transactions", "refunds"), open_writer)

    return make


def error(kind: type[TieoutError]) -> TieoutError:
    return kind("it broke.", "all is whole.", "mend it")


@pytest.mark.parametrize("kind", [LakeStateError, StreamError, TieoutError])
def test_an_entity_that_cannot_be_drained_is_named_when_the_other_is(
    stream: Callable[..., Queries], layout: Layout, kind: type[TieoutError]
) -> None:
    drained = stream(transactions=error(kind))
    drained.start(ONCE)
    with pytest.raises(TieoutError, match=r"^transactions: it broke\.") as caught:
        drained.follow(threading.Event())
    assert caught.value.is_partial
    assert isinstance(caught.value, RefusalError) is issubclass(kind, RefusalError)
    assert list(read_failed(layout)) == ["transactions"]


def test_a_stream_that_goes_on_tries_again_what_may_get_better_and_leaves_the_rest_to_a_person(
    stream: Callable[..., Queries], layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = stream(transactions=error(StreamError), refunds=error(LakeStateError))
    with pytest.raises(RefusalError, match="it broke"):
        stream(transactions=error(LakeStateError), refunds=error(LakeStateError)).start({"processingTime": "1 second"})
    running.start({"processingTime": "1 second"})
    assert sorted(read_failed(layout)) == ["refunds", "transactions"]
    assert not running._go_on(), "nothing is at work yet"
    monkeypatch.setattr(queries.time, "monotonic", lambda: 10.0**12)
    assert running._go_on()
    assert list(read_failed(layout)) == ["refunds"]
    assert sorted(running._running) == ["transactions"]


@pytest.mark.parametrize("kind", [BrokerAwayError, LakeTakenError, LakeFullError, OutageError])
def test_what_is_away_full_or_anothers_ends_the_stream_as_a_whole(
    stream: Callable[..., Queries], kind: type[TieoutError]
) -> None:
    ended = stream(refunds=error(kind))
    with pytest.raises(kind, match=r"^it broke\.\n"):
        ended.start({"processingTime": "1 second"})
    assert ended.stopping


@pytest.mark.parametrize("trigger", [ONCE, {"processingTime": "1 second"}])
def test_a_topic_that_was_given_partitions_while_the_stream_began_is_begun_with_them(
    stream: Callable[..., Queries], layout: Layout, trigger: dict[str, Any]
) -> None:
    again = stream(transactions=RuntimeError(ADDED), refunds=RuntimeError(ADDED))
    again.start(trigger)
    assert again._running == {}
    assert again._go_on()
    assert sorted(again._running) == ["refunds", "transactions"]
    assert read_failed(layout) == {}
    stop = threading.Event()
    if trigger != ONCE:
        stop.set()
    again.follow(stop)
