"""The page that asks for a token. It is plain HTML: no script, nothing from another server."""

from urllib.parse import quote

from markupsafe import escape
from werkzeug.wrappers import Response

from collector.language.language import Language

HTML = """\
<!doctype html>
<html lang="{code}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>facetally: {log_in}</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ display: grid; min-height: 90vh; place-items: center; margin: 0 1rem; }}
form {{ display: grid; gap: 0.75rem; width: min(22rem, 100%); }}
h1 {{ font-size: 1.4rem; margin: 0; }}
input, button {{ font: inherit; padding: 0.6rem; border: 1px solid GrayText; border-radius: 0.4rem; }}
p {{ margin: 0; }}
</style>
</head>
<body>
<main>
<form method="post" action="/login?next={target}">
<h1>facetally</h1>
<label for="token">{your_token}</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
{error}<button>{log_in}</button>
</form>
</main>
</body>
</html>
"""


def login_page(target: str, language: Language, error: str = "", status: int = 200) -> Response:
    """Return the page; ``target`` is the path to open after the login, ``error`` a message to show."""
    shown = f'<p role="alert">{escape(language.gettext(error))}</p>\n' if error else ""
    text = HTML.format(
        target=quote(target, safe=""), error=shown, code=language.code, log_in=escape(language.gettext("Log in")),
        your_token=escape(language.gettext("Your token")),
    )  # fmt: skip
    return Response(text, status, {"Cache-Control": "no-store"}, content_type="text/html; charset=utf-8")
