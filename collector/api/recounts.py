"""Routes of recounts: the results, and the session of a phone."""

import logging
import re
from collections.abc import Callable

import msgspec
from flask import Blueprint, Flask, Response, request

from base.logs import line
from base.validation_errors import explain_json
from collector.api.guard import Guard
from collector.api.openapi import API_ROOT, CSV, JSON
from collector.api.problems import Refused
from collector.api.recount_answers import RecountAnswer, RecountsAnswer, RecountsQuery, SessionAnswer
from collector.api.routes import parameters
from collector.language.language import Language, accepted_code, chosen_language
from collector.recount import files
from collector.recount.recounts import Recounts, SessionConflict, SessionState, UnknownDevice
from collector.recount.session import SESSION_ID_PATTERN, InvalidSession, Session

MAX_BODY_BYTES = 262_144
"""A session of `collector.recount.session.MAX_TAPS` taps has some 150 kB."""

_log = logging.getLogger(__name__)


def mount(app: Flask, recounts: Recounts, guard: Guard, permits: Callable[[str], bool]) -> None:
    """Add the routes to an application that has those of `collector.api.routes`.

    ``permits`` says of a site whether it may be seen and counted.
    """
    routes = Blueprint("recounts", __name__)
    routes.before_request(lambda: guard.check(request))
    routes.add_url_rule(f"{API_ROOT}/recounts", "results", lambda: _results(recounts, permits))
    routes.add_url_rule(
        f"{API_ROOT}/recounts/sessions/<session_id>",
        "session",
        lambda session_id: _put(recounts, session_id, permits),
        methods=["GET", "PUT"],  # GET, too: otherwise the route of unknown paths would answer it
    )
    app.register_blueprint(routes)


def _results(recounts: Recounts, permits: Callable[[str], bool]) -> Response:
    """Return the results, as JSON or CSV."""
    query = parameters(RecountsQuery)
    found = [
        each
        for each in files.read_recounts(recounts.root)
        if permits(each.site) and query.site in (None, each.site) and query.device in (None, each.device)
    ]
    if query.format == "csv":
        return Response(files.to_csv(found), content_type=CSV)
    return _json(RecountsAnswer(recounts=[RecountAnswer.of(each, _language()) for each in found]))


def _put(recounts: Recounts, session_id: str, permits: Callable[[str], bool]) -> Response:
    """Take a phone's session, and return its state."""
    if request.method != "PUT":
        raise Refused(405, "a session can only be PUT; taps cannot be read", {"Allow": "OPTIONS, PUT"})
    session = _session(session_id)
    try:
        if not permits(session.site):
            raise UnknownDevice(f"device: {session.site}/{session.device} is not a device of this store")
        known = recounts.put(session_id, session)
    except InvalidSession as error:
        raise Refused(400, str(error)) from error
    except UnknownDevice as error:
        raise Refused(404, str(error)) from error
    except SessionConflict as error:
        raise Refused(409, str(error)) from error
    except OSError as error:
        _log.warning(line("recount_not_stored", reason=error))
        raise Refused(503, f"the session cannot be stored: {error.strerror}") from error
    return _json(_answer(recounts, session_id, known))


def _session(session_id: str) -> Session:
    """Decode the body. A foreign web site cannot send JSON through a visitor's browser, so only JSON is taken."""
    if not re.search(SESSION_ID_PATTERN, session_id) or session_id.endswith("\n"):
        raise Refused(400, f"id: must be 32 hex digits, is {session_id[:64]!r}")
    if request.mimetype != JSON:
        raise Refused(415, f"Content-Type: must be {JSON}, is {request.mimetype[:64]!r}")
    body = request.stream.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise Refused(413, f"the body must be at most {MAX_BODY_BYTES} bytes")
    try:
        return msgspec.json.decode(body, type=Session)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, explain_json(error, body, Session)) from error


def _answer(recounts: Recounts, session_id: str, known: SessionState) -> SessionAnswer:
    return SessionAnswer(
        id=session_id,
        state=known.state,
        revision=known.session.revision,
        taps=len(known.session.taps),
        now=recounts.now(),
        result=None if known.result is None else RecountAnswer.of(known.result, _language()),
    )


def _language() -> Language:
    """Return the language of the sentences: the one that the request accepts, English by default."""
    return chosen_language(accepted_code(request.headers.get("Accept-Language", "")))


def _json(body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), content_type=JSON)
