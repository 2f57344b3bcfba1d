"""Nobody sees a page, a file or a socket without the token."""

import asyncio
import http.client
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from control.testing import free_ports
from dashboard import auth
from dashboard.auth import Door
from dashboard.peer import account_of

TOKEN = "the-token-of-this-test"
REACHED = b"the page"
NOW = time.time()


async def page(scope, receive, send):
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": REACHED})


def knock(path="/", query="", cookie=None, method="GET", body=b"", kind="http", host="127.0.0.1:8501", origin=None):
    """Return status (or the socket's answer), headers and body."""
    said = []
    headers = [(b"host", host.encode())] + ([(b"cookie", cookie.encode())] if cookie else [])
    headers += [(b"origin", origin.encode())] if origin else []
    scope = {
        "type": kind, "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": headers, "scheme": "http", "server": ("127.0.0.1", 8501), "root_path": "",
    }  # fmt: skip

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        said.append(message)

    asyncio.run(Door(page, TOKEN, 8501)(scope, receive, send))
    if kind == "websocket":
        return said[0]["type"]
    answer = {name.decode(): value.decode() for name, value in said[0]["headers"]}
    return said[0]["status"], answer, b"".join(message.get("body", b"") for message in said[1:])


def cookie_of(answer):
    return answer["set-cookie"].split(";")[0]


@pytest.mark.parametrize("path", ["/", "/books", "/media/a.csv", "/_stcore/host-config", "/static/js/index.js"])
def test_without_the_token_there_is_a_form_and_nothing_else(path):
    status, headers, body = knock(path)
    assert status == 401
    assert b"DASHBOARD_TOKEN" in body
    assert REACHED not in body
    assert "default-src 'self'" in headers["content-security-policy"]


def test_a_socket_without_the_cookie_is_closed():
    assert knock("/_stcore/stream", kind="websocket") == "websocket.close"
    assert knock("/_stcore/stream", query=f"token={TOKEN}", kind="websocket") == "websocket.close"


def test_the_token_opens_once_and_leaves_the_address():
    status, answer, _ = knock("/books", query=f"currency=INR&token={TOKEN}&channel=UPI")
    assert status == 303
    assert answer["location"] == "/books?currency=INR&channel=UPI"
    assert "httponly" in answer["set-cookie"].lower()
    assert TOKEN not in answer["set-cookie"]
    assert knock("/", cookie=cookie_of(answer))[2] == REACHED
    assert knock("/_stcore/stream", cookie=cookie_of(answer), kind="websocket") == "websocket.accept"


def test_the_form_takes_the_token_too():
    status, answer, _ = knock(method="POST", body=f"token={TOKEN}&back=currency%3DUSD".encode())
    assert (status, answer["location"]) == (303, "/?currency=USD")


@pytest.mark.parametrize("shown", ["", "wrong", TOKEN[:-1], TOKEN + "x", "%C3%A9"])
def test_another_word_does_not_open(shown):
    status, answer, _ = knock(query=f"token={shown}")
    assert status == 401
    assert "set-cookie" not in answer


def test_a_cookie_that_was_not_given_here_does_not_open():
    for cookie in ("tieout_dashboard_8501=", f"tieout_dashboard_8501={TOKEN}", "tieout_dashboard_8501=0; a", "=;"):
        assert knock(cookie=cookie)[0] == 401


OTHER_COOKIES = ['a={"b": 1, "c": [2]}', "a b=c", "=x", "x", 'a="unclosed', "a@b=1", "a=\u00e9", "a=b,c=d", "[a]=/;;"]


@pytest.mark.parametrize("other", OTHER_COOKIES)
def test_cookies_of_other_ports_keep_nobody_out(other):
    cookie = cookie_of(knock(query=f"token={TOKEN}")[1])
    for both in (f"{other}; {cookie}", f"{cookie}; {other}"):
        assert knock(cookie=both)[2] == REACHED
    assert knock(cookie=f"{other}; {cookie}x")[0] == 401


def test_the_way_back_never_leads_to_another_host_and_a_form_writes_no_page():
    assert knock("//evil.example/", query=f"token={TOKEN}")[1]["location"] == "/evil.example"
    body = knock(query="a=%22%3E%3Cscript%3E")[2]
    assert b"<script>" not in body
    assert knock(method="POST", body=b"token=" + b"x" * 9000)[0] == 401


def test_health_answers_without_a_token():
    assert knock("/_stcore/health")[2] == REACHED


OTHERS = [
    "http://127.0.0.1:9999",
    "http://localhost:8501",
    "https://evil.example",
    "null",
    "http://127.0.0.1:8501.evil.example",
]


@pytest.mark.parametrize("origin", OTHERS)
def test_a_page_of_another_origin_gets_neither_socket_nor_answer(origin):
    cookie = cookie_of(knock("/books", query=f"token={TOKEN}")[1])
    assert knock("/_stcore/stream", cookie=cookie, kind="websocket", origin=origin) == "websocket.close"
    for path in ("/", "/_stcore/health", "/_stcore/host-config"):
        status, headers, body = knock(path, cookie=cookie, origin=origin)
        assert status == 403
        assert "access-control-allow-origin" not in headers
        assert REACHED not in body


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost:8501", "127.0.0.1:9000", "[::1]:8501"])
def test_a_page_of_this_origin_gets_its_socket_also_through_a_tunnel(host):
    cookie = cookie_of(knock(query=f"token={TOKEN}", host=host)[1])
    wanted = knock("/_stcore/stream", cookie=cookie, kind="websocket", host=host, origin=f"http://{host}")
    assert wanted == "websocket.accept"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8501", "10.0.0.1:8501", "", "["])
def test_on_loopback_no_other_name_leads_here(host):
    assert knock(query=f"token={TOKEN}", host=host)[0] == 403


def test_a_cookie_of_an_earlier_run_of_another_account_or_too_old_opens_nothing(monkeypatch):
    cookie = cookie_of(knock(query=f"token={TOKEN}")[1])
    assert knock(cookie=cookie)[2] == REACHED
    with monkeypatch.context() as patch:
        patch.setattr(auth, "THIS_RUN", b"another")
        assert knock(cookie=cookie)[0] == 401
    with monkeypatch.context() as patch:
        patch.setattr(auth, "account_of", lambda *_: 4711)
        assert knock(cookie=cookie)[0] == 401
    with monkeypatch.context() as patch:
        too_late = time.time() + auth.KEPT_SECONDS
        patch.setattr(auth.time, "time", lambda: too_late)
        assert knock(cookie=cookie)[0] == 401
    name, _, value = cookie.partition("=")
    issued, _, seal = value.partition(".")
    assert knock(cookie=f"{name}={int(issued) + 9}.{seal}")[0] == 401


def test_a_cookie_is_strict_hidden_from_scripts_and_renewed_after_an_hour(monkeypatch):
    given = knock(query=f"token={TOKEN}")[1]["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict"} <= set(given.split("; "))
    cookie = given.split(";")[0]
    assert "set-cookie" not in knock(cookie=cookie)[1]
    later = time.time() + auth.RENEWED_AFTER_SECONDS + 9
    monkeypatch.setattr(auth.time, "time", lambda: later)
    renewed = cookie_of(knock(cookie=cookie)[1])
    assert renewed != cookie
    assert knock(cookie=renewed)[2] == REACHED


def test_the_account_behind_a_connection_is_told():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert account_of(client.getsockname(), client.getpeername()) == os.getuid()
        assert account_of(("127.0.0.1", 1), client.getpeername()) is None
    assert account_of(None, None) is None


RECORD = """
import os, socket
def note(address):
    with open(os.environ["RECORD"], "a") as file:
        file.write(f"{address[0] if isinstance(address, tuple) else 'local'}\\n")
def connect(self, address, real=socket.socket.connect):
    note(address)
    return real(self, address)
def getaddrinfo(host, *rest, real=socket.getaddrinfo, **more):
    note((host,))
    return real(host, *rest, **more)
socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
note(("begun",))
"""


@pytest.mark.services
def test_the_server_asks_no_other_host_whoever_knocks(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(RECORD)
    port, record = free_ports(1)[0], tmp_path / "record"
    record.touch()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(tmp_path),
        "RECORD": str(record),
    }
    environment |= {"DASHBOARD_TOKEN": TOKEN, "DASHBOARD_PORT": str(port), "POSTGRES_PASSWORD_READER": "x"}
    environment |= {"TIEOUT_HOME": "/nonexistent", "POSTGRES_PORT": "1"}
    server = subprocess.Popen([sys.executable, "-P", "-m", "dashboard"], env=environment, cwd="/")
    try:
        deadline, cookie = time.monotonic() + 90, ""
        while not cookie:
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
            with suppress(OSError):
                cookie = _get(port, f"/?token={TOKEN}", {}).getheader("set-cookie", "").split(";")[0]
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        upgrade |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Cookie": cookie}
        for origin, status in (("http://evil.example", 403), (f"http://127.0.0.1:{port + 1}", 403), ("", 101)):
            headers = upgrade | {"Origin": origin or f"http://127.0.0.1:{port}"}
            assert _get(port, "/_stcore/stream", headers).status == status
        assert _get(port, "/_stcore/health", {"Origin": "http://evil.example"}).status == 403
    finally:
        server.terminate()
        server.wait(30)
    asked = record.read_text().split()
    assert asked[0] == "begun"
    assert set(asked[1:]) <= {"begun", "127.0.0.1", "localhost", "local", "None"}


def _get(port, path, headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers=headers)
    return connection.getresponse()
