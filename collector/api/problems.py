"""What went wrong -> a problem document (RFC 9457), and nothing about the inside of the program."""

import msgspec
from flask import Flask, Response, request
from msgspec import Struct
from werkzeug.exceptions import HTTPException

JSON = "application/problem+json"
OURS = ("/api/", "/metrics")
TITLES = {
    400: "The request cannot be understood",
    401: "A token is needed",
    404: "There is no such thing",
    405: "Only reading is possible",
    406: "There is no such format",
    429: "Too many requests",
    500: "The server has failed",
    503: "The store cannot be read",
}


class Problem(Struct, frozen=True, kw_only=True):
    """A problem document; ``detail`` says what is wrong with this request."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Refused(Exception):
    """A request that is not answered: status, why, and headers that help."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}


def answer(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """The document as a response."""
    problem = Problem(title=TITLES.get(status, "The request was refused"), status=status, detail=detail)
    return Response(msgspec.json.encode(problem), status, headers, content_type=JSON)


def install(app: Flask) -> None:
    """Answer every error below `OURS` by a problem document; other paths, which are the page's, are left alone."""

    @app.errorhandler(Refused)
    def refused(error: Refused) -> Response:
        return answer(error.status, error.detail, error.headers)

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response | HTTPException:
        if not request.path.startswith(OURS):
            return error
        headers = {"Allow": "GET, HEAD, OPTIONS"} if error.code == 405 else {}
        return answer(error.code or 500, error.description or error.name, headers)
