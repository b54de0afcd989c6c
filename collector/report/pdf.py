"""The report as a PDF file, drawn by WeasyPrint. It needs the extra ``report`` and the system's library Pango."""

import logging

from base.errors import SettingsError

MISSING = (
    "PDF needs WeasyPrint and Pango: pip install 'facetally[report]' and apt install libpango-1.0-0 libpangoft2-1.0-0"
    " libharfbuzz-subset0; HTML needs neither"
)


def make_pdf(html: str) -> bytes:
    """Return a report as PDF. Raises SettingsError if WeasyPrint or Pango is not installed."""
    try:
        from weasyprint import HTML, URLFetcher  # noqa: PLC0415 - an extra; HTML does not need it
    except (ImportError, OSError) as error:
        raise SettingsError(f"{MISSING} ({error})") from error
    for name in ("weasyprint", "weasyprint.progress", "fontTools"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they log each step, and each line of CSS for screens only
    fetcher = URLFetcher(allowed_protocols=())  # a report holds all that it shows
    return bytes(HTML(string=html, url_fetcher=fetcher).write_pdf())
