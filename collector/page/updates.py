"""A browser's request for an update of the page -> passed on only if the page itself could have sent it.

Dash answers 500 to a body that is not what its own scripts send, and anybody can send anything.
"""

from typing import Any

import msgspec
from dash import Dash
from flask import request
from msgspec import Struct
from werkzeug.exceptions import BadRequest, HTTPException, NotFound

UPDATE = "/_dash-update-component"
PARTS = "/_dash-component-suites/"


class Property(Struct):
    """A property of a control, and its value."""

    id: str
    property: str
    value: Any = None


class Update(Struct, rename={"changed": "changedPropIds"}):
    """The body of an update, as far as it is looked at."""

    output: str
    inputs: list[Property]
    outputs: Any = None
    changed: list[str] = []
    state: list[Property] = []


def check_updates(app: Dash) -> None:
    """Answer 400 to updates that no control of the page can ask for, and 404 to parts that are not there."""

    def check() -> None:
        if request.path == UPDATE and request.method == "POST":
            _check(app, request.get_data(cache=True))

    def unexpected(error: Exception) -> Any:
        if isinstance(error, HTTPException):
            return error
        if request.path.startswith(PARTS):
            return NotFound()  # Dash has errors of its own for names that it does not know
        raise error

    app.server.before_request(check)
    app.server.register_error_handler(Exception, unexpected)


def _check(app: Dash, body: bytes) -> None:
    """BadRequest unless the body names a callback with the inputs and the state that it has."""
    try:
        update = msgspec.json.decode(body, type=Update)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(str(error)) from error
    callback = app.callback_map.get(update.output)
    if callback is None:
        raise BadRequest("output: there is no such callback")
    for name, given in (("inputs", update.inputs), ("state", update.state)):
        known = [(each["id"], each["property"]) for each in callback[name]]
        if [(each.id, each.property) for each in given] != known:
            raise BadRequest(f"{name}: not those of {update.output}")
    if not {each.partition("@")[0] for each in update.changed} <= {
        f"{each['id']}.{each['property']}" for each in callback["inputs"]
    }:
        raise BadRequest("changedPropIds: not inputs of the callback")
    if not _outputs_fit(update):
        raise BadRequest(f"outputs: not those of {update.output}")


def _outputs_fit(update: Update) -> bool:
    """Whether the outputs are the properties that ``output`` names, in its order."""
    outputs = update.outputs if isinstance(update.outputs, list) else [update.outputs]
    text = "...".join(
        f"{each.get('id')}.{each.get('property')}" for each in outputs if isinstance(each, dict) and len(each) == 2
    )
    return update.output in (text, f"..{text}..")
