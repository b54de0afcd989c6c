"""Error responses as problem documents (RFC 9457), without internals of the program."""

import msgspec
from flask import Flask, Response, request
from msgspec import Struct
from werkzeug.exceptions import HTTPException, MethodNotAllowed

JSON = "application/problem+json"
API_PATHS = ("/api/", "/metrics")
TITLES = {
    400: "Invalid request",
    401: "Token required",
    404: "Not found",
    405: "Method not allowed",
    406: "Format not available",
    409: "Conflict",
    413: "Body too large",
    415: "Body must be JSON",
    429: "Too many requests",
    500: "Internal error",
    503: "Store not available",
}


class Problem(Struct, frozen=True, kw_only=True):
    """A problem document; ``detail`` says what is wrong with this request."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Refused(Exception):
    """A request that gets an error response: status, reason and headers."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}


def problem_response(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return a problem document as a response."""
    problem = Problem(title=TITLES.get(status, "Request refused"), status=status, detail=detail)
    return Response(msgspec.json.encode(problem), status, headers, content_type=JSON)


def install(app: Flask) -> None:
    """Answer every error below `API_PATHS` with a problem document. Other paths are the page's and stay as they are."""

    @app.errorhandler(Refused)
    def refused(error: Refused) -> Response:
        return problem_response(error.status, error.detail, error.headers)

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response | HTTPException:
        if not request.path.startswith(API_PATHS):
            return error
        headers = {"Allow": ", ".join(sorted(error.valid_methods or ()))} if isinstance(error, MethodNotAllowed) else {}
        return problem_response(error.code or 500, error.description or error.name, headers)
