"""The door: nothing of the pages, their data and their socket is answered before the token was shown.

The token comes once, in the address or the form; the address is left without it, so that it can be sent to somebody.
What stays is a cookie that a script cannot read. Browsers hand the cookies of 127.0.0.1 to whatever listens on any port
of it, so the cookie alone opens nothing: it holds for this run of the server and for the account whose process brings
it, and is made anew every hour. Requests that another page has caused, and other names of this address, are refused.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.peer import account_of

KEPT_SECONDS = 7 * 86400
RENEWED_AFTER_SECONDS = 3600
LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)
# A cookie of an earlier run opens nothing: whoever had the port in between may have been handed it.
THIS_RUN = secrets.token_bytes(32)
LONGEST_FORM = 4096
OPEN_TO_ALL = ("/_stcore/health",)

# Everything is served from here, the socket too; Vega compiles its expressions, hence unsafe-eval.
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' data:; "
        "worker-src 'self' blob:; frame-ancestors 'none'; form-action 'self'"
    ),
    "referrer-policy": "same-origin",  # with none at all a browser would not say where the form comes from, either
    "x-content-type-options": "nosniff",
}

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Tieout: who is there?</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>:root{{color-scheme:light dark}}
body{{font:16px/1.5 system-ui,sans-serif;max-width:30rem;margin:15vh auto;padding:0 1rem}}
input,button{{font:inherit;padding:.5rem .7rem;width:100%;box-sizing:border-box;margin:.3rem 0}}</style></head><body>
<h1>Tieout</h1><p>{said}</p><form method="post" action="/"><input type="hidden" name="back" value="{back}">
<label for="token">Token</label><input id="token" name="token" type="password" autocomplete="off" autofocus required>
<button>Open the dashboard</button></form>
<p>The token is DASHBOARD_TOKEN in the platform's .env; ./scripts/start.sh prints the address with it.</p>
</body></html>"""

ASKED = "This dashboard shows payments. Enter its token to go on."
WRONG = "That is not the token of this platform."


class Door:
    """Middleware in front of every request and socket.

    Args:
        app: what is behind the door.
        token: what a visitor has to know.
        port: part of the cookie's name: two platforms on one machine do not disturb each other.
        address: where the server listens; on loopback it answers to loopback's names only.
    """

    def __init__(self, app: ASGIApp, token: str, port: int, address: str = "127.0.0.1") -> None:
        self._app = app
        self._token = token.encode()
        self._cookie = f"tieout_dashboard_{port}"
        self._key = hmac.digest(self._token, THIS_RUN, "sha256")
        self._on_loopback = LOOPBACK.fullmatch(address) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through who has shown the token; ask everybody else."""
        kind = scope["type"]
        if kind not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        if not self._is_asked_from_here(Headers(scope=scope)):
            await _refuse(scope, receive, send)
            return
        response = None if kind == "websocket" else await self._token_shown(Request(scope, receive))
        age = self._age_of_cookie(scope)
        if response is not None:
            await response(scope, receive, send)
        elif scope["path"] in OPEN_TO_ALL or age is not None:
            renewed = self._new_cookie(scope) if age is not None and age > RENEWED_AFTER_SECONDS else None
            await self._app(scope, receive, _with_headers(send, renewed))
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _ask(ASKED, scope["query_string"].decode("latin-1"))(scope, receive, send)

    def _is_asked_from_here(self, headers: Mapping[str, str]) -> bool:
        """Say whether the request names this server, and was caused by a page of it or by no page at all."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._on_loopback and not LOOPBACK.fullmatch(host):
            return False
        return origin is None or origin.lower() in {f"http://{host}".lower(), f"https://{host}".lower()}

    async def _token_shown(self, request: Request) -> Response | None:
        """Return the answer to a request that brings a token, None for one that brings none."""
        query = parse_qsl(request.url.query, keep_blank_values=True)
        shown = [value for name, value in query if name == "token"]
        back = urlencode([(name, value) for name, value in query if name != "token"])
        path = request.url.path
        if request.method == "POST" and path == "/":
            fields = dict(parse_qsl(await _small_body(request)))
            shown, back = [fields.get("token", "")], fields.get("back", "")
        if not shown:
            return None
        if not any(hmac.compare_digest(value.encode(), self._token) for value in shown):
            return _ask(WRONG, back)
        # A path of one segment of ours, never another host's address.
        target = "/" + path.strip("/").split("/")[0]
        answer = RedirectResponse(target + (f"?{back}" if back else ""), status_code=303, headers=HEADERS)
        answer.headers["set-cookie"] = self._new_cookie(request.scope)
        return answer

    def _new_cookie(self, scope: Scope) -> str:
        issued = str(int(time.time()))
        value = f"{issued}.{self._seal(issued, scope)}"
        return f"{self._cookie}={value}; HttpOnly; Max-Age={KEPT_SECONDS}; Path=/; SameSite=Strict"

    def _seal(self, issued: str, scope: Scope) -> str:
        bound_to = f"{issued} {account_of(scope.get('client'), scope.get('server'))}"
        return hmac.new(self._key, bound_to.encode(), hashlib.sha256).hexdigest()

    def _age_of_cookie(self, scope: Scope) -> float | None:
        """Return the age in seconds of a cookie that opens, None when the request brings no such cookie."""
        for name, value in scope["headers"]:
            if name == b"cookie":
                # As browsers read them: cookies of every port come along, and some are none by the letter.
                found = cookie_parser(value.decode("latin-1")).get(self._cookie, "")
                issued, _, seal = found.partition(".")
                if hmac.compare_digest(seal.encode(), self._seal(issued, scope).encode()):
                    age = time.time() - int(issued)
                    return age if age < KEPT_SECONDS else None
        return None


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        answer = HTMLResponse("Refused: this request comes from another page or address.", status_code=403)
        await answer(scope, receive, send)


def _ask(said: str, back: str) -> Response:
    headers = HEADERS | {"cache-control": "no-store"}
    return HTMLResponse(PAGE.format(said=escape(said), back=escape(back)), status_code=401, headers=headers)


async def _small_body(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            return ""
    return body.decode("utf-8", "replace")


def _with_headers(send: Send, cookie: str | None) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = HEADERS | ({"set-cookie": cookie} if cookie else {})
            own = [(name.encode(), value.encode()) for name, value in headers.items()]
            message = {**message, "headers": [*message["headers"], *own]}
        await send(message)

    return answer
