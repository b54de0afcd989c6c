"""Refuse requests for foreign host names, and add security headers to every response.

A web site that a visitor opens beside the page must not read the counts through the visitor's browser (DNS rebinding: a
foreign name that resolves to this address), nor embed the page in its own.
"""

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

LOOPBACK = ("localhost", "127.0.0.1", "::1")
ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound to
MISDIRECTED = "421 Misdirected Request"
"""RFC 9110, 15.5.20."""
HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def content_security_policy(script_hashes: Iterable[str]) -> str:
    """Return the Content-Security-Policy (CSP, level 3) of the page; only inline scripts with these hashes may run.

    Everything else comes from this server. plotly styles its charts inline, and a download is a blob.
    """
    scripts = " ".join(("'self'", *script_hashes))
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
        " font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


class BrowserGuard:
    """WSGI middleware that answers only requests for one of the server's names."""

    def __init__(self, application: Wsgi, host: str, names: Iterable[str], policy: str) -> None:
        self._application = application
        self._names = frozenset(name.lower().strip("[]") for name in (*LOOPBACK, host, *names))
        self._any_address = host in ALL_ADDRESSES
        self._headers = (("Content-Security-Policy", policy), *HEADERS)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, *self._headers], *error)

        if not self._is_own_name(environ.get("HTTP_HOST", "")):
            start(MISDIRECTED, [("Content-Type", "text/plain; charset=utf-8")])
            return [b"This server does not answer to this host name. Add the name to page.hosts to allow it.\n"]
        return self._application(environ, start)

    def _is_own_name(self, host: str) -> bool:
        """Whether a request's ``Host`` is one of ours, with any port. An address cannot be rebound."""
        name = host.lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        if name.rstrip(".") in self._names:
            return True
        try:
            return self._any_address and bool(ip_address(name))
        except ValueError:
            return False
