"""Two who ask the running stream for maintenance at once are both answered, each with its own answer."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from core.layout import CHECKOUT, Layout
from spark_streaming import requests
from spark_streaming.errors import StreamError


def test_two_requests_at_once_are_each_done_once_and_answered(tmp_path: Path) -> None:
    layout = Layout(CHECKOUT, tmp_path)
    answers: dict[str, Any] = {}

    def ask(name: str) -> None:
        answers[name] = requests.ask(layout, {"name": name}, patience=60, still_runs=lambda: True)

    askers = [threading.Thread(target=ask, args=(name,)) for name in ("first", "second")]
    for asker in askers:
        asker.start()
    done, deadline = [], time.monotonic() + 60
    while len(done) < 2 and time.monotonic() < deadline:
        request = requests.pending(layout)
        if request is not None:
            wishes = request.wishes
            done.append(wishes["name"])
            requests.answer(layout, request, lambda wishes=wishes: wishes)  # type: ignore[misc]
    for asker in askers:
        asker.join(60)
    assert sorted(done) == ["first", "second"]
    assert answers == {name: {"name": name} for name in ("first", "second")}
    assert list(layout.run.iterdir()) == []


def test_a_failure_is_the_answer_and_a_stream_that_ends_is_said(tmp_path: Path) -> None:
    layout = Layout(CHECKOUT, tmp_path)
    with pytest.raises(StreamError, match="did not answer"):
        requests.ask(layout, patience=60, still_runs=lambda: False)
    assert requests.pending(layout) is None

    def fail() -> requests.Answer:
        raise StreamError("The disk is full.", "the lake is whole.", "make room")

    asked = threading.Thread(target=lambda: requests_error(layout))
    asked.start()
    while (request := requests.pending(layout)) is None:
        assert asked.is_alive()
    requests.answer(layout, request, fail)
    asked.join(60)
    assert not asked.is_alive()


def requests_error(layout: Layout) -> None:
    with pytest.raises(StreamError, match="The disk is full"):
        requests.ask(layout, patience=60, still_runs=lambda: True)
