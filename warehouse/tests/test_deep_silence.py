"""A broker that goes away while Kafka is read again: the proof says so, and does not wait for ever."""

from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import OutageError
from warehouse.proof import kafka_records


class Broker:
    """Sends a record a poll, up to some number of them, and then nothing."""

    def __init__(self, records: int) -> None:
        self.records = records
        self.at = 0
        self.polls = 0

    def assign(self, places: list[Any]) -> None:
        assert places == ["p"]

    def seek(self, _: Any, offset: int) -> None:
        self.at = offset

    def position(self, _: Any) -> int:
        return self.at

    def poll(self, **_: Any) -> dict[Any, list[Any]]:
        self.polls += 1
        assert self.polls < 100, "it would never end"
        if self.at >= self.records:
            return {}
        self.at += 1
        return {"p": [SimpleNamespace(offset=self.at - 1)]}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ten seconds pass at each look at the clock."""
    ticks = iter(range(0, 100_000, 10))
    monkeypatch.setattr(kafka_records, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))), raising=False)


def test_a_broker_that_sends_nothing_for_a_minute_is_an_outage() -> None:
    broker = Broker(3)
    with pytest.raises(OutageError, match="sent nothing for 60 s, and 2 records are to come"):
        list(kafka_records.read_records(broker, {"p": (0, 5)}))
    assert broker.at == 3


def test_a_slow_broker_is_waited_for() -> None:
    (batch,) = kafka_records.read_records(Broker(40), {"p": (0, 40)})
    assert [message.offset for message in batch] == list(range(40))
