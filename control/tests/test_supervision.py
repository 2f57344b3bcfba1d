"""What the supervisor does with a service that ended."""

import json
import socket
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from control import doctor, orphans, starting, supervision
from control.accounts import Accounts
from control.env import ensure_env, read_env
from control.ports import LISTENING
from control.processes import WAIT_EXEC, Process
from control.readiness import inspect_services, waits_for_decision
from control.registry import plain_services
from control.service import Service, Services
from control.services import lineage
from control.starting import start_services, wait_until_ready
from control.testing import free_ports, temporary_home
from core.errors import TieoutError
from core.layout import CHECKOUT, Layout

pytestmark = pytest.mark.services


def _process(name, command, environment):
    return Process(Service(name, lambda _: command), command, environment, None)


def _ends_with(code, name):
    return _process(name, ("/bin/sh", "-c", f"sleep 2.5; exit {code}"), {"PATH": "/usr/bin:/bin"})


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


@dataclass(frozen=True)
class Small:
    """A platform of a page and of what a test adds, in place of a whole one."""

    layout: Layout
    settings: dict[str, str]
    others: tuple[Process, ...] = ()
    accounts: Accounts = field(default_factory=lambda: Accounts(None, None, Path(), Path()))
    registered: Services = field(default_factory=plain_services)

    @property
    def services(self):
        command = (
            sys.executable,
            "-m",
            "http.server",
            "--bind",
            "127.0.0.1",
            "-d",
            "/usr/share",
            self.settings["DOCS_PORT"],
        )
        page = Process(replace(lineage.SERVICE, prepare=None), command, {"PATH": "/usr/bin:/bin"}, None)
        return {each.name: each for each in (page, *self.others)}


@pytest.fixture
def small():
    with temporary_home() as home:
        layout = Layout(CHECKOUT, home)
        settings = ensure_env(layout) | {name: str(port) for name, port in zip(LISTENING, free_ports(7), strict=True)}
        layout.logs.mkdir(parents=True)
        orphans.folder(layout).mkdir()
        yield Small(layout, settings, (_ends_with(1, "exits-1"), _ends_with(78, "exits-78")))
        supervision.shut_down(layout)


@contextmanager
def another_program_on(port):
    with socket.create_server(("127.0.0.1", int(port))) as server:
        yield server


def test_a_port_that_another_program_has_taken_meanwhile_is_left_to_it(small, capsys):
    supervision.launch(small.layout, small.services.values())
    with another_program_on(small.settings["DOCS_PORT"]):
        started = wait_until_ready(start_services(small, ["lineage"]), ["lineage"], 60)
        assert started.settings["DOCS_PORT"] != small.settings["DOCS_PORT"]
        assert read_env(small.layout.env_file)["DOCS_PORT"] == started.settings["DOCS_PORT"]
        assert f"DOCS_PORT: {small.settings['DOCS_PORT']} is taken" in capsys.readouterr().err
        assert "another program" in str(inspect_services(small.layout, small.settings, ["lineage"]).problem("lineage"))
        assert inspect_services(small.layout, started.settings, ["lineage"]).problem("lineage") is None


def test_a_port_that_is_taken_after_the_service_was_started_is_left_too(small):
    supervision.launch(small.layout, small.services.values())
    with another_program_on(small.settings["DOCS_PORT"]):
        supervision.start_service(small.layout, small.services["lineage"])  # as a start that came too late
        started = wait_until_ready(small, ["lineage"], 60)
        assert started.settings["DOCS_PORT"] != small.settings["DOCS_PORT"]


def test_the_doctor_asks_the_services_themselves_and_sees_whose_ports_are_taken(small, monkeypatch):
    page = replace(small, others=())
    monkeypatch.setattr(doctor, "settings", lambda _: page.settings)
    supervision.launch(page.layout, page.services.values())
    assert "lineage: it is stopped" in doctor._services(page.layout).detail
    with another_program_on(page.settings["DOCS_PORT"]):
        supervision.start_service(page.layout, page.services["lineage"])
        taken = doctor._ports(page.layout)
        assert (taken.ok, taken.detail) == (False, f"taken by others: DOCS_PORT={page.settings['DOCS_PORT']}")
        assert "./scripts/start.sh" in taken.repair
        ill = doctor._services(page.layout)
        assert (ill.ok, ill.repair) == (False, "./scripts/tieout logs lineage, then ./scripts/start.sh")
        assert ill.detail.startswith("lineage: ")
    wait_until_ready(start_services(page, ["lineage"]), ["lineage"], 60)
    assert doctor._ports(page.layout).detail == "in use by this platform"
    assert doctor._services(page.layout).ok


def test_a_service_that_ends_again_and_again_is_not_ready_and_is_named(small, monkeypatch):
    monkeypatch.setattr(starting, "FAILING_SECONDS", 4)
    supervision.launch(small.layout, small.services.values())
    started = start_services(small, ["lineage", "exits-1"])
    assert wait_until_ready(started, ["lineage"], 60) == started
    # It lives for two and a half seconds each time, which the supervisor calls RUNNING.
    with pytest.raises(TieoutError, match="exits-1 is not ready"):
        wait_until_ready(started, ["lineage", "exits-1"], 60)


def test_a_service_that_was_never_started_is_not_ready(small):
    supervision.launch(small.layout, small.services.values())
    with pytest.raises(TieoutError, match="exits-1 is not ready: it is stopped"):
        wait_until_ready(small, ["exits-1"], 1)


def test_only_exit_code_78_waits_for_a_decision(small):
    supervision.launch(small.layout, small.services.values())
    started, deadline = start_services(small, ["exits-78"]), time.monotonic() + 30
    while supervision.process_states(small.layout)["exits-78"]["statename"] != "EXITED":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    with pytest.raises(TieoutError, match="exits-78 waits for your decision"):
        wait_until_ready(started, ["exits-78"], 60)
    assert waits_for_decision({"statename": "EXITED", "exitstatus": 78})
    for state in ({"statename": "EXITED", "exitstatus": 1}, {"statename": "BACKOFF", "exitstatus": 78}, {}):
        assert not waits_for_decision(state)


ODD = {
    "QUOTES": "a\"b'c",
    "ENDS_WITH_A_QUOTE": "x'",
    "COMMENT": "a ; b # c",
    "PERCENT": "100%s %(here)s",
    "LETTERS": "ä€😀\\",
    "LINES": "a\nb=c",
    "EMPTY": "",
}


def test_every_value_and_every_path_reaches_a_service_unchanged():
    with temporary_home(prefix="tieout #1 ;x 'q' 100%d $y ä.") as home:
        layout = Layout(CHECKOUT, home)
        layout.logs.mkdir(parents=True)
        orphans.folder(layout).mkdir()
        words = "import json, os, sys; print(json.dumps([dict(os.environ), sys.argv[1:]]), flush=True)"
        command = (sys.executable, "-I", "-S", str(WAIT_EXEC), "SIGTERM", "--", sys.executable, "-c", words, str(home))
        service = _process("odd", command, ODD | {"LC_ALL": "C.UTF-8"})
        supervision.launch(layout, [service])
        try:
            supervision.start_service(layout, service)
            log, deadline = layout.logs / "odd.log", time.monotonic() + 30
            while not (log.exists() and log.read_text().count("\n")) and time.monotonic() < deadline:
                time.sleep(0.1)
            environment, arguments = json.loads(log.read_text().splitlines()[0])
        finally:
            supervision.shut_down(layout)
    assert environment == service.environment
    assert arguments == [str(home)]


def test_what_the_supervisor_refuses_is_said_without_the_values(small):
    supervision.launch(small.layout, small.services.values())
    broken = _process("odd", ("/bin/true",), {"A": 's3"cret', "B": "x"})
    with pytest.raises(TieoutError, match="does not take the new configuration") as refused:
        supervision.refresh(small.layout, [*small.services.values(), broken])
    assert "s3" not in str(refused.value)
    assert supervision.refresh(small.layout, small.services.values())
    with temporary_home() as home:
        layout = Layout(CHECKOUT, home)
        layout.logs.mkdir(parents=True)
        orphans.folder(layout).mkdir()
        with pytest.raises(TieoutError, match="supervisord does not answer") as refused:
            supervision.launch(layout, [broken])
    assert "s3" not in str(refused.value)
