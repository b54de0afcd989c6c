"""Serve ``/recount``, the page on which a person at the door counts by hand.

The page is the same for everybody and holds no data. Its script uses the HTTP API, with the token if there is one.
"""

from collections.abc import Callable
from pathlib import Path

from flask import Flask, Response

FOLDER = Path(__file__).parent / "recount"
FILES = {
    "/recount": ("recount.html", "text/html"),
    "/recount/recount.js": ("recount.js", "text/javascript"),
    "/recount/recount.css": ("recount.css", "text/css"),
}
"""Path of each file of the page, its name and its type."""


def mount(app: Flask) -> None:
    """Add the page to an application."""
    for path, (name, kind) in FILES.items():
        content = (FOLDER / name).read_text()
        app.add_url_rule(path, f"recount {name}", _view(content, kind))


def _view(content: str, kind: str) -> Callable[[], Response]:
    return lambda: Response(content, content_type=f"{kind}; charset=utf-8", headers={"Cache-Control": "no-cache"})
