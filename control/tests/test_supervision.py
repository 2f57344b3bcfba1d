"""What the supervisor does with a service that ended."""

import time
from types import SimpleNamespace

import pytest

from control import orphans, start, supervision
from control.services import Service
from control.testing import temporary_home
from core.errors import TieoutError
from core.layout import CHECKOUT, Layout

pytestmark = pytest.mark.services


def _ends_with(code, name):
    return Service(name, "jobs", ("/bin/sh", "-c", f"sleep 2.5; exit {code}"), {"PATH": "/usr/bin:/bin"}, None)


def test_whatever_ends_is_started_again_but_for_what_waits_for_a_person():
    with temporary_home() as home:
        layout = Layout(CHECKOUT, home)
        layout.logs.mkdir(parents=True)
        orphans.folder(layout).mkdir()
        services = [_ends_with(code, f"exits-{code}") for code in (0, 1, 75, 78)]
        supervision.launch(layout, services)
        try:
            for service in services:
                supervision.start_service(layout, service)
            first = {name: info["start"] for name, info in supervision.process_states(layout).items()}
            again, stays, deadline = set(), False, time.monotonic() + 60
            while not (len(again) == 3 and stays) and time.monotonic() < deadline:
                time.sleep(0.2)
                states = supervision.process_states(layout)
                again |= {name for name, info in states.items() if info["start"] > first[name] and info["pid"]}
                stays = states["exits-78"]["statename"] == "EXITED"
            assert (again, stays) == ({"exits-0", "exits-1", "exits-75"}, True)
        finally:
            supervision.shut_down(layout)


def test_a_refresh_that_was_broken_off_is_done_by_the_next_one(monkeypatch):
    with temporary_home() as home:
        layout = Layout(CHECKOUT, home)
        layout.logs.mkdir(parents=True)
        orphans.folder(layout).mkdir()
        before, after = _ends_with(0, "stays"), _ends_with(0, "is-new")
        supervision.launch(layout, [before])
        try:
            with monkeypatch.context() as broken:
                broken.setattr(supervision, "ask", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
                with pytest.raises(KeyboardInterrupt):
                    supervision.refresh(layout, [before, after])
            assert supervision.refresh(layout, [before, after])
            assert set(supervision.process_states(layout)) == {"stays", "is-new"}
        finally:
            supervision.shut_down(layout)


def test_a_start_does_not_wait_for_a_stream_that_has_refused(monkeypatch):
    with temporary_home() as home:
        layout = Layout(CHECKOUT, home)
        monkeypatch.setattr(supervision, "process_states", lambda _: {"stream": {"statename": "EXITED", "pid": 0}})
        with pytest.raises(TieoutError, match="waits for your decision"):
            start._wait_for_stream(SimpleNamespace(layout=layout), seconds=5)
