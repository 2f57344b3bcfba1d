"""Nobody sees a page, a file or a socket without the token."""

import asyncio

import pytest

from dashboard.door import Door

TOKEN = "the-token-of-this-test"
REACHED = b"the page"


async def page(scope, receive, send):
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": REACHED})


def knock(path="/", query="", cookie=None, method="GET", body=b"", kind="http"):
    """Return status (or the socket's answer), headers and body."""
    said = []
    headers = [(b"host", b"127.0.0.1:8501")] + ([(b"cookie", cookie.encode())] if cookie else [])
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


def test_the_way_back_never_leads_to_another_host_and_a_form_writes_no_page():
    assert knock("//evil.example/", query=f"token={TOKEN}")[1]["location"] == "/evil.example"
    body = knock(query="a=%22%3E%3Cscript%3E")[2]
    assert b"<script>" not in body
    assert knock(method="POST", body=b"token=" + b"x" * 9000)[0] == 401


def test_health_answers_without_a_token():
    assert knock("/_stcore/health")[2] == REACHED
