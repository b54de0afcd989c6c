"""Compress responses with gzip, for browsers behind slow lines.

Flask-Compress would do the same with two more compiled packages, and would compress the scripts again for each browser.
"""

import gzip
from functools import lru_cache

from flask import Flask, Response, request

MIN_BYTES = 1000
LEVEL = 6
COMPRESSIBLE = ("text/", "application/json", "application/javascript", "image/svg", "application/problem+json")
STATIC = ("/_dash-component-suites/", "/assets/")
"""Paths of files that do not change while the server runs; their compressed content is kept."""


def accepts_gzip() -> bool:
    """Whether the present request accepts gzip."""
    return bool(request.accept_encodings["gzip"])


def compress(data: bytes) -> bytes:
    """Return data in gzip format; equal data gives equal bytes."""
    return gzip.compress(data, LEVEL, mtime=0)


def compress_responses(app: Flask) -> None:
    """Compress every response that is worth it and is not compressed yet."""

    @app.after_request
    def after(response: Response) -> Response:
        kind = response.content_type or ""
        if response.status_code != 200 or not kind.startswith(COMPRESSIBLE):
            return response
        response.headers.add("Vary", "Accept-Encoding")
        if not accepts_gzip() or "Content-Encoding" in response.headers or request.method == "HEAD":
            return response
        response.direct_passthrough = False
        data = response.get_data()
        if len(data) < MIN_BYTES:
            return response
        response.set_data(_kept(data) if request.path.startswith(STATIC) else compress(data))
        response.headers["Content-Encoding"] = "gzip"
        return response


@lru_cache(32)
def _kept(data: bytes) -> bytes:
    return compress(data)
