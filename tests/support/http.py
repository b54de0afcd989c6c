"""Plain HTTP requests to a server on this machine."""

import http.client
from typing import Any

from tests.support.waiting import LIMIT_S


def send(port: int, path: str = "/healthz", method: str = "GET", body: bytes = b"", **headers: str) -> Any:
    """Send a request and return the response with its body read; ``_`` in names of headers is ``-``."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer: Any = connection.getresponse()
    answer.body = answer.read()
    connection.close()
    return answer
