"""The door: nothing of the pages, their data and their socket is answered before the token was shown.

The token comes once, in the address or the form. What stays is a cookie that is derived from it: it is no use
elsewhere, a script cannot read it, and the address is left without the token, so that it can be sent to somebody.
"""

import hashlib
import hmac
from html import escape
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEPT_DAYS = 30
LONGEST_FORM = 4096
OPEN_TO_ALL = ("/_stcore/health",)

# Everything is served from here; Vega compiles its expressions, hence unsafe-eval.
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' ws://127.0.0.1:* ws://localhost:* data:; "
        "worker-src 'self' blob:; frame-ancestors 'none'; form-action 'self'"
    ),
    "referrer-policy": "no-referrer",
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
    """Middleware in front of every request and socket."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._token = token.encode()
        self._cookie = f"tieout_dashboard_{port}"
        self._pass = hmac.new(self._token, b"tieout dashboard 1", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through who has shown the token; ask everybody else."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        response = None if scope["type"] == "websocket" else await self._token_shown(Request(scope, receive))
        if response is not None:
            await response(scope, receive, send)
        elif scope["path"] in OPEN_TO_ALL or self._has_cookie(scope):
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _ask(ASKED, scope["query_string"].decode("latin-1"))(scope, receive, send)

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
        answer.set_cookie(self._cookie, self._pass, max_age=KEPT_DAYS * 86400, httponly=True, samesite="lax")
        return answer

    def _has_cookie(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name == b"cookie":
                try:
                    found = SimpleCookie(value.decode("latin-1")).get(self._cookie)
                except CookieError:
                    continue
                if found is not None and hmac.compare_digest(found.value.encode(), self._pass.encode()):
                    return True
        return False


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


def _with_headers(send: Send) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*message["headers"], *own]}
        await send(message)

    return answer
