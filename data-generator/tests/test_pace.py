"""How fast a feed goes, and that waiting for the next payment costs nothing."""

import time
from types import SimpleNamespace

import pytest

from data_generator.events import PAYMENT, RESEND
from data_generator.gateway import LONGEST_WAIT, SHORTEST_WAIT, Pace
from data_generator.stopping import Stop


class Clock:
    """A clock that only waiting moves, and a client that waits in whole milliseconds."""

    def __init__(self) -> None:
        self.now, self.waits = 0.0, 0

    def wait(self, seconds: float) -> None:
        assert seconds <= LONGEST_WAIT
        self.now += int(seconds * 1000) / 1000
        self.waits += 1
        assert self.waits < 10_000, "it spins"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


@pytest.mark.parametrize("rate", [1, 7, 200, 2_000, 50_000])
def test_payments_are_sent_at_the_rate_without_spinning(clock: Clock, rate: int) -> None:
    pace = Pace(rate, clock.wait, Stop())
    for number in range(2 * rate):
        pace.hold(SimpleNamespace(part=PAYMENT, entity="transactions"))
        assert number / rate <= clock.now + 1e-9 <= number / rate + SHORTEST_WAIT + 0.001 + 1e-9
    assert clock.waits <= max(2 / SHORTEST_WAIT + 1, 2 / LONGEST_WAIT + 2 * rate)


def test_a_resend_and_a_rate_of_nothing_never_wait(clock: Clock) -> None:
    for pace, part in ((Pace(1, clock.wait, Stop()), RESEND), (Pace(0, clock.wait, Stop()), PAYMENT)):
        for _ in range(100):
            pace.hold(SimpleNamespace(part=part, entity="transactions"))
    assert clock.waits == 0
