"""Whether services do their work: asked of themselves, without a proxy, and of processes that are this platform's."""

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest

from control import airflow, orphans, readiness, throwaway
from control.accounts import Accounts
from control.airflow_rest import Rest
from control.env import ensure_env
from control.readiness import ServiceStates, our_ports
from control.services import lineage
from core.layout import find_layout
from core.tcp_table import LISTENING, tcp_sockets


class _Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"access_token": "t", "import_errors": [{"filename": "a.py"}]}).encode())

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def layout(tmp_path):
    return find_layout({"TIEOUT_HOME": str(tmp_path)})


@contextmanager
def page():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def test_a_proxy_of_the_environment_is_neither_asked_nor_shown_a_password(layout, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)  # it knows the proxies of the first request that it made
    with page() as port:
        settings = ensure_env(layout) | {"DOCS_PORT": str(port), "AIRFLOW_PORT": str(port)}
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
        assert lineage.SERVICE.check(layout, settings, {}) is None
        assert str(port) in airflow.url(settings)
        assert Rest(settings).import_errors() == ["a.py"]


class _Hidden:
    """A process of another account, where root may not look at it."""

    def net_connections(self, _):
        raise psutil.AccessDenied(1)


def test_where_processes_are_hidden_the_account_that_listens_tells_whose_port_it_is(layout, monkeypatch):
    monkeypatch.setattr(orphans, "members", lambda _: [_Hidden()])
    own, others = (Accounts(name, name, layout.postgres_data, layout.state) for name in (None, "nobody"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(readiness, "choose_accounts", lambda _: own)
        assert port in (our_ports(layout) or ())
        monkeypatch.setattr(readiness, "choose_accounts", lambda _: others)
        found = our_ports(layout)
    assert found is not None
    assert port not in found


def test_where_nobody_tells_whose_port_it_is_the_service_is_not_called_ready(layout, monkeypatch):
    monkeypatch.setattr(orphans, "members", lambda _: [_Hidden()])
    monkeypatch.setattr(readiness, "tcp_sockets", lambda: iter(()))
    assert our_ports(layout) is None
    states = {"kafka": {"statename": "RUNNING"}}
    settings = {"KAFKA_PORT": "1", "KAFKA_CONTROLLER_PORT": "2"}
    found = ServiceStates(layout, settings, states, frozenset({1, 2}), None)
    assert found.problem("kafka") == "this account cannot see whose program listens on 127.0.0.1:1"
    assert ServiceStates(layout, settings, states, frozenset({1, 2}), {1, 2}).problem("kafka") is None


def test_a_child_of_the_supervisor_is_a_member_where_its_environment_cannot_be_read(layout, monkeypatch):
    orphans.folder(layout).mkdir(parents=True)
    orphans.remember(layout, os.getpid())

    def refuse(_):
        raise psutil.AccessDenied(1)

    monkeypatch.setattr(psutil.Process, "environ", refuse)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    try:
        assert child.pid in {process.pid for process in orphans.members(layout)}
    finally:
        child.communicate(b"\n")


def test_a_clock_that_is_set_makes_no_stranger_of_the_supervisor(layout, monkeypatch):
    orphans.folder(layout).mkdir(parents=True)
    orphans.remember(layout, os.getpid())
    claimed = layout.home / "claimed"
    claimed.mkdir()
    throwaway.claim(claimed)
    pid, begun = (claimed / throwaway.OWNER).read_text().split()
    before, booted = psutil.Process().create_time(), psutil.boot_time()
    # By it psutil says when a process was made: the kernel moves it with the clock on the wall.
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: booted + 3600)
    assert psutil.Process().create_time() > before + 3000
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    try:
        assert child.pid in {process.pid for process in orphans.members(layout)}
    finally:
        child.communicate(b"\n")
    assert throwaway._lives(int(pid), float(begun))
    file = orphans.folder(layout) / "session"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"began": 1.0}))
    assert orphans.members(layout) == [], "a process that another one has left its number to"
    assert not throwaway._lives(int(pid), 1.0)


def test_the_tables_of_the_kernel_tell_ports_states_and_accounts():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert (port, 0, LISTENING, os.geteuid()) in {(s.port, s.far_port, s.state, s.uid) for s in tcp_sockets()}
