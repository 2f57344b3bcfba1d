"""HTTP to this platform's own services on 127.0.0.1, past any proxy of the environment: it would see the passwords."""

import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from core.layout import Layout

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def open_direct(request: str | urllib.request.Request, data: bytes | None = None, *, timeout: float) -> Any:
    """Return the answer of a service on this machine.

    Args:
        request: an address on 127.0.0.1, or a request to one.
        data: the body of a POST.
        timeout: seconds.

    Raises:
        OSError: it does not answer, or answers with an error (urllib.error.HTTPError).
    """
    return _DIRECT.open(request, data, timeout)


def page_answers(setting: str, path: str) -> Callable[[Layout, Mapping[str, str], Mapping[str, Any]], str | None]:
    """Return a service's check that asks for a page.

    Args:
        setting: of the port.
        path: of the page, with its first slash.
    """

    def check(_: Layout, settings: Mapping[str, str], __: Mapping[str, Any]) -> str | None:
        try:
            with open_direct(f"http://127.0.0.1:{settings[setting]}{path}", timeout=5):
                return None
        except OSError as error:
            return f"its page does not answer: {error}"

    return check
