"""Serve ``/recount``, the page on which a person at the door counts by hand.

The page holds no data, only the words of the reader's language. Its script uses the HTTP API, with the token if there
is one.
"""

from collections.abc import Callable
from pathlib import Path

from flask import Flask, Response, request
from jinja2 import Environment

from collector.language.catalogue import mark
from collector.language.language import requested_language

FOLDER = Path(__file__).parent / "recount"
FILES = {
    "/recount/recount.js": ("recount.js", "text/javascript"),
    "/recount/recount.css": ("recount.css", "text/css"),
}
"""Path of each file of the page that is the same in all languages, its name and its type."""
WORDS = {
    "wrong_token": mark("The token is wrong."),
    "no_device": mark("No device has sent anything yet."),
    "refused_404": mark("The collector does not know this device."),
    "refused_409": mark("Another phone counts at this device."),
    "at_quarter": mark("at {time} (best for quiet doors)"),
    "begins": mark("Begins in {time}"),
    "left": mark("{time} left, until {end}"),
    "offline": mark("No connection. Taps are kept on this phone and sent later."),
    "sending": mark("Sending …"),
    "saved": mark("All taps are saved."),
    "by_hand": mark("Visits by hand: {number}."),
    "not_comparable": mark(
        "No window of the device lies within this time. Begin at a quarter of an hour, and count to its end."
    ),
    "not_compared": mark(
        "The comparison follows when the counts of the device have arrived. It is then on the collector's page, too."
    ),
    "stop": mark("Stop counting now?"),
}
"""What the script says, by the names that it uses; it fills the placeholders."""


def mount(app: Flask, configured: str | None = None) -> None:
    """Add the page to an application; ``configured`` is the language for readers who have chosen none."""
    template = Environment(autoescape=True).from_string((FOLDER / "recount.html").read_text(encoding="utf-8"))

    def page() -> Response:
        accepted = request.headers.get("Accept-Language", "")
        language = requested_language(request.cookies.get("lang"), accepted, configured)
        words = {name: language.text(message) for name, message in WORDS.items()}
        return _response(template.render(_=language.gettext, language=language.code, words=words), "text/html")

    app.add_url_rule("/recount", "recount", page)
    for path, (name, kind) in FILES.items():
        content = (FOLDER / name).read_text(encoding="utf-8")
        app.add_url_rule(path, f"recount {name}", _view(content, kind))


def _view(content: str, kind: str) -> Callable[[], Response]:
    return lambda: _response(content, kind)


def _response(content: str, kind: str) -> Response:
    return Response(content, content_type=f"{kind}; charset=utf-8", headers={"Cache-Control": "no-cache"})
