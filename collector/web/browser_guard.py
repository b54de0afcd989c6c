"""Requests of browsers -> let through, if they ask this host; answers -> with headers that confine the page.

A web site that a visitor opens beside the page must neither read the counts through the visitor's browser (DNS
rebinding: a foreign name that leads to this address) nor show the page within its own.
"""

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened at
WRONG_HOST = "421 Misdirected Request"
"""RFC 9110, 15.5.20."""
HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def policy(script_hashes: Iterable[str]) -> str:
    """The Content-Security-Policy (CSP, level 3) of the page, whose only inline scripts have these hashes.

    Everything comes from this server. plotly styles its charts inline, and a download is a blob.
    """
    scripts = " ".join(("'self'", *script_hashes))
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
        " font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class WebGuard:
    """An application that answers only those who ask by one of its names."""

    def __init__(self, application: Wsgi, served_at: str, names: Iterable[str], content_policy: str) -> None:
        self._application = application
        self._names = frozenset(name.lower().strip("[]") for name in (*LOOPBACK, served_at, *names))
        self._any_address = served_at in EVERYWHERE
        self._headers = (("Content-Security-Policy", content_policy), *HEADERS)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI (PEP 3333)."""

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, *self._headers], *error)

        if not self._is_ours(environ.get("HTTP_HOST", "")):
            start(WRONG_HOST, [("Content-Type", "text/plain; charset=utf-8")])
            return [b"This server has another name. Names it answers to are set by page.hosts.\n"]
        return self._application(environ, start)

    def _is_ours(self, host: str) -> bool:
        """Whether a request's ``Host`` is one of ours, whatever its port. An address cannot be rebound."""
        name = host.lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        if name.rstrip(".") in self._names:
            return True
        try:
            return self._any_address and bool(ip_address(name))
        except ValueError:
            return False
