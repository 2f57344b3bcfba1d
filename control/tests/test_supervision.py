"""What the supervisor does with a service that ended."""

import time

import pytest

from contracts.layout import CHECKOUT, Layout
from control import orphans, supervision
from control.services import Service
from control.testing import temporary_home

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
