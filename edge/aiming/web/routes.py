"""What the aiming page's server answers: the page's files to anybody who may connect, the rest to the session."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any

import msgspec

from base.errors import FacetallyError
from base.logs import line
from edge.aiming.web.addresses import is_own_host
from edge.aiming.web.https_server import MAX_REQUEST_BYTES, BoundedRequestHandler
from edge.aiming.web.session import Session
from edge.settings import Polygon

log = logging.getLogger("edge.aiming.web")
COOKIE = "__Host-facetally"
"""Browsers accept this prefix only with Secure, Path=/ and without Domain."""
HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
     " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page."""

    content_type: str
    content: bytes


class CodeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /session``."""

    code: str


class ZonesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /zones``."""

    zones: tuple[Polygon, ...]


class Refused(Exception):
    """A request that is not answered as it was meant."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Application:
    """What the routes need."""

    session: Session
    files: Mapping[str, PageFile]
    """Files of the page by path; ``/`` is the page."""
    live: Callable[[], dict[str, Any]]
    """The live view as JSON."""
    zones: Callable[[], dict[str, Any]]
    """The zones as JSON, and where they are kept."""
    save: Callable[[tuple[Polygon, ...]], dict[str, Any]]
    """Saves zones; raises FacetallyError if that is impossible."""
    stop: Callable[[], None]
    """Ends the program."""


def handler_for(application: Application) -> type[BoundedRequestHandler]:
    """The request handler of an application."""

    class Handler(BoundedRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 (the name in http.server)
            _answer(self, application, "GET")

        def do_POST(self) -> None:  # noqa: N802
            _answer(self, application, "POST")

    return Handler


def _answer(request: BoundedRequestHandler, application: Application, method: str) -> None:
    """Answer one request; a refusal is JSON with the key ``error``, and ends the connection."""
    cookie: str | None = None
    try:
        _check_host(request)
        file = application.files.get(request.path)
        if method == "GET" and file is not None:
            return _send(request, HTTPStatus.OK, file.content_type, file.content)
        body = _body(request) if method == "POST" else b""
        if (method, request.path) == ("POST", "/session"):
            result, cookie = _enter(request, application.session, body)
        elif (method, request.path) == ("GET", "/session"):
            result = {"open": application.session.holds(_cookie(request))}
        else:
            result = _for_session(request, application, method, body)
        status = HTTPStatus.OK
    except Refused as error:
        status, result = error.status, {"error": str(error)}
        request.close_connection = True
    return _send(request, status, "application/json", json.dumps(result).encode(), cookie)


def _for_session(request: BoundedRequestHandler, application: Application, method: str, body: bytes) -> dict[str, Any]:
    """Answer a request that only the session may make."""
    if not application.session.holds(_cookie(request)):
        raise Refused(HTTPStatus.UNAUTHORIZED, "enter the code first")
    match method, request.path:
        case "GET", "/live":
            return application.live()
        case "GET", "/zones":
            return application.zones()
        case "POST", "/zones":
            try:
                return application.save(_decoded(body, ZonesBody).zones)
            except FacetallyError as error:
                raise Refused(HTTPStatus.CONFLICT, str(error)) from error
        case "POST", "/stop":
            application.stop()
            return {}
        case _:
            raise Refused(HTTPStatus.NOT_FOUND, "no such page")


def _enter(request: BoundedRequestHandler, session: Session, body: bytes) -> tuple[dict[str, Any], str]:
    """Try a code. Returns the answer and the cookie of the session; the log says who tried before it was open."""
    result = session.enter(_decoded(body, CodeBody).code)
    if result != "used":
        log.info(line("code", result=result, peer=request.client_address[0]))
    if result == "opened":
        return {}, f"{COOKIE}={session.token}; Path=/; Secure; HttpOnly; SameSite=Strict"
    texts = {
        "wrong": "This is not the code in the terminal.",
        "used": "The code was used already. Start facetally-aim again for a new one.",
        "stopped": "Too many wrong codes: facetally-aim has stopped.",
    }
    raise Refused(HTTPStatus.FORBIDDEN, texts[result])


def _check_host(request: BoundedRequestHandler) -> None:
    """Refuse a foreign host name, which a web site may have given this address (DNS rebinding)."""
    address, port = request.connection.getsockname()[:2]
    hosts = request.headers.get_all("Host", [])
    if len(hosts) != 1 or not is_own_host(hosts[0], address, port):
        raise Refused(HTTPStatus.MISDIRECTED_REQUEST, "this server does not answer to this host name")


def _body(request: BoundedRequestHandler) -> bytes:
    """The body of a POST of this page; other sites' are refused by their origin."""
    headers = request.headers
    if headers.get("Origin") != f"https://{headers['Host']}":
        raise Refused(HTTPStatus.FORBIDDEN, "must come from the page of this server")
    if headers.get_content_type() != "application/json" or "Transfer-Encoding" in headers:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "must be application/json with a Content-Length")
    length = headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit()):
        raise Refused(HTTPStatus.LENGTH_REQUIRED, "must have a Content-Length")
    if len(length) > len(str(MAX_REQUEST_BYTES)) or int(length) > MAX_REQUEST_BYTES // 2:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"must be at most {MAX_REQUEST_BYTES // 2} bytes")
    return request.rfile.read(int(length))


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"not understood: {error}") from error


def _cookie(request: BoundedRequestHandler) -> str | None:
    try:
        found = SimpleCookie(request.headers.get("Cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def _send(
    request: BoundedRequestHandler, status: HTTPStatus, content_type: str, content: bytes, cookie: str | None = None
) -> None:
    request.send_response(status)
    request.send_header("Content-Type", f"{content_type}; charset=utf-8")
    request.send_header("Content-Length", str(len(content)))
    for name, value in HEADERS:
        request.send_header(name, value)
    if cookie is not None:
        request.send_header("Set-Cookie", cookie)
    if request.close_connection:
        request.send_header("Connection", "close")
    request.end_headers()
    request.wfile.write(content)
