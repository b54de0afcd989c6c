"""The page in which staff zones are drawn without a network: one HTML file, with its script inside."""

from importlib.resources import files

SCRIPT = '<script src="zones.js"></script>'


def zones_page() -> str:
    """Return the page as it is printed."""
    folder = files("edge").joinpath("aiming", "page")
    page, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("zones.html", "zones.js"))
    return page.replace(SCRIPT, f"<script>\n{script}</script>")
