"""The gate before page and API: it identifies each request, and hands it to an application that has only its sites."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from werkzeug.wrappers import Request, Response

from base.logs import line
from collector.access.login_page import login_page
from collector.access.logins import COOKIE, Logins, NotLoggedIn, TooManyFailures
from collector.api.problems import problem_response
from collector.language.catalogue import mark
from collector.language.language import requested_language

LOGIN, LOGOUT = "/login", "/logout"
TOO_MANY, NOT_VALID = mark("Too many wrong tokens. Wait a minute."), mark("This token is not valid.")
OPEN = ("/healthz", "/api/v1/openapi.json")
"""Paths that anybody may read: the number of devices, and the description of the API."""
MAX_TOKEN_BODY = 4096
"""Longest body of the login form, bytes."""
MAX_SITE_SETS = 64
"""Applications that are kept: one for each set of sites in the access file."""
Sites = frozenset[str] | None
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Applications:
    """One application for each set of sites, made when it is first asked for. Safe for any number of threads.

    Nothing that an application computes or keeps can reach one with other sites.
    """

    make: Callable[[Sites], Wsgi]
    _made: "OrderedDict[Sites, Wsgi]" = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, sites: Sites) -> Wsgi:
        """Return the application that shows these sites; None for all."""
        with self._lock:
            if sites not in self._made:
                self._made[sites] = self.make(sites)
            self._made.move_to_end(sites)
            while len(self._made) > MAX_SITE_SETS:
                self._made.popitem(last=False)
            return self._made[sites]


class AccessGate:
    """WSGI middleware that lets only requests of known people and programs pass."""

    def __init__(self, logins: Logins, applications: Applications, language: str | None = None) -> None:
        self._logins, self._applications, self._language = logins, applications, language

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        request = Request(environ)
        if request.path in OPEN:
            return self._applications.of(None)(environ, start_response)
        if request.path == LOGIN:
            return self._login(request)(environ, start_response)
        if request.path == LOGOUT:
            return self._logout(request)(environ, start_response)
        try:
            entry = self._logins.identify(request)
        except (NotLoggedIn, TooManyFailures) as error:
            return _refusal(request, error)(environ, start_response)
        environ["REMOTE_USER"] = entry.name
        return self._applications.of(entry.permitted)(environ, start_response)

    def _login(self, request: Request) -> Response:
        target = _own_path(request.args.get("next", ""))
        accepted = request.headers.get("Accept-Language", "")
        language = requested_language(request.cookies.get("lang"), accepted, self._language)
        if request.method == "GET":
            return login_page(target, language)
        if request.method != "POST" or (request.content_length or 0) > MAX_TOKEN_BODY:
            return Response("Send the form of this page.\n", 400)
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return Response("Send the form from this page, not from another site.\n", 403)
        try:
            entry = self._logins.by_token(request, request.form.get("token", "").strip())
        except TooManyFailures:
            return login_page(target, language, TOO_MANY, 429)
        except NotLoggedIn:
            return login_page(target, language, NOT_VALID, 401)
        _log.info(line("login", user=entry.name))
        response = Response(status=303, headers={"Location": target})
        secure = request.is_secure or (
            self._logins.is_from_proxy(request) and request.headers.get("X-Forwarded-Proto") == "https"
        )
        response.set_cookie(
            COOKIE, self._logins.session_cookie(entry), httponly=True, samesite="Lax", secure=secure, path="/"
        )
        return response

    def _logout(self, request: Request) -> Response:
        if request.method != "POST":
            return Response("Send a POST request.\n", 405, {"Allow": "POST"})
        response = Response(status=303, headers={"Location": LOGIN})
        response.delete_cookie(COOKIE, path="/")
        return response


def _refusal(request: Request, error: Exception) -> Response:
    """Return the answer to a request of nobody known: the login for a browser that opens a page, else a problem."""
    if isinstance(error, TooManyFailures):
        return problem_response(429, "too many wrong tokens from this address; wait a minute", {"Retry-After": "60"})
    if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
        target = request.full_path.rstrip("?")
        return Response(status=303, headers={"Location": f"{LOGIN}?next={quote(target, safe='')}"})
    return problem_response(401, "send the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})


def _own_path(target: str) -> str:
    r"""Return where to go after the login: a path of this server. ``//host`` and ``/\host`` would be another one."""
    plain = target.isascii() and target.isprintable() and "\\" not in target
    return target if plain and target.startswith("/") and not target.startswith("//") else "/"
