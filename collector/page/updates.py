"""Updates that browsers request: refuse those the page cannot have sent, and compute equal ones once.

Dash answers 500 to a body that its own scripts would not send, and anyone can send one. Dash also computes and encodes
the response for each browser; most browsers ask for the same charts at the same moment.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from dash import Dash
from flask import Response, make_response, request
from msgspec import Struct
from werkzeug.exceptions import BadRequest, HTTPException, NotFound

from collector.web.compress import accepts_gzip, compress
from collector.web.shared_result import SharedResults

UPDATE = "/_dash-update-component"
SCRIPTS = "/_dash-component-suites/"
FRESH = "fresh"
"""Control that changes when new data has arrived. A callback that depends on it, and has no state, is a function of its
inputs and of what is stored."""
MAX_RESPONSES = 64


class Property(Struct):
    """A property of a control, and its value."""

    id: str
    property: str
    value: Any = None


class Update(Struct, rename={"changed": "changedPropIds"}):
    """The parts of an update's body that are checked."""

    output: str
    inputs: list[Property]
    outputs: Any = None
    changed: list[str] = []
    state: list[Property] = []


@dataclass(frozen=True, slots=True)
class _Made:
    """A response that several browsers get."""

    body: bytes
    compressed: bytes
    status: int
    content_type: str | None

    @classmethod
    def of(cls, response: Response) -> "_Made":
        data = response.get_data()
        return cls(data, compress(data), response.status_code, response.content_type)

    def response(self) -> Response:
        """Return the response in the form that the present request accepts."""
        if accepts_gzip():
            headers = {"Content-Encoding": "gzip"}
            return Response(self.compressed, self.status, headers, content_type=self.content_type)
        return Response(self.body, self.status, content_type=self.content_type)


def check_updates(app: Dash) -> None:
    """Answer 400 to updates that no control of the page can request, and 404 to scripts that do not exist."""

    def check() -> None:
        if request.path == UPDATE and request.method == "POST":
            _check(app, _update())

    def unexpected(error: Exception) -> Any:
        if isinstance(error, HTTPException):
            return error
        if request.path.startswith(SCRIPTS):
            return NotFound()  # Dash raises errors of its own for unknown names
        raise error

    app.server.before_request(check)
    app.server.register_error_handler(Exception, unexpected)


def share_updates(app: Dash, fresh: Callable[[], str]) -> None:
    """Compute and encode one response for all equal updates while ``fresh`` returns the same."""
    responses: SharedResults[_Made] = SharedResults(MAX_RESPONSES)
    dispatch = app.server.view_functions[UPDATE]

    def respond() -> Response:
        update = _update()
        if update.state or not any(each.id == FRESH for each in update.inputs):
            return make_response(dispatch())
        values = [(each.id, each.property, each.value) for each in update.inputs if each.id != FRESH]
        key = hashlib.sha256(msgspec.json.encode((update.output, values))).digest()
        made = responses.get((fresh(), key), lambda: _Made.of(make_response(dispatch())))
        return made.response()

    app.server.view_functions[UPDATE] = respond


def _update() -> Update:
    """Return the request's body. Raises BadRequest."""
    try:
        return msgspec.json.decode(request.get_data(cache=True), type=Update)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(str(error)) from error


def _check(app: Dash, update: Update) -> None:
    """Raise BadRequest unless the update names a callback, with the inputs and the state that it has."""
    callback = app.callback_map.get(update.output)
    if callback is None or "callback" not in callback:  # the browser computes those itself
        raise BadRequest("output: must be that of a callback of the page")
    for name, given in (("inputs", update.inputs), ("state", update.state)):
        known = [(each["id"], each["property"]) for each in callback[name]]
        if [(each.id, each.property) for each in given] != known:
            raise BadRequest(f"{name}: must be those of the callback {update.output}")
    inputs = {f"{each['id']}.{each['property']}" for each in callback["inputs"]}
    if not {each.partition("@")[0] for each in update.changed} <= inputs:
        raise BadRequest("changedPropIds: must be inputs of the callback")
    if not _outputs_fit(update):
        raise BadRequest(f"outputs: must be those of the callback {update.output}")


def _outputs_fit(update: Update) -> bool:
    """Whether the outputs are the properties that ``output`` names, in its order."""
    outputs = update.outputs if isinstance(update.outputs, list) else [update.outputs]
    text = "...".join(
        f"{each.get('id')}.{each.get('property')}" for each in outputs if isinstance(each, dict) and len(each) == 2
    )
    return update.output in (text, f"..{text}..")
