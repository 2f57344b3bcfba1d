"""HTTP to this platform's own services on 127.0.0.1, past any proxy of the environment: it would see the passwords."""

import urllib.request
from typing import Any

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
