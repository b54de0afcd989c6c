"""The query of the HTTP API that answers with the same figure."""

from datetime import datetime, timezone
from urllib.parse import urlencode

from collector.analysis.label_sets import LabelSet
from collector.page.controls.selection import Selection

API_COUNTS = "/api/v1/counts"


def api_address(selection: Selection, figure: str, label_set: LabelSet | None) -> str:
    """Return the address of the HTTP API that answers with the figure."""
    by = {"visits": "total", "coverage": "total", "unknown": "label", "share": "label"}[figure]
    since, until = (_utc(moment) for moment in selection.span)
    query = {"by": by, "since": since, "until": until, "zone": str(selection.zone)}
    if selection.sites:
        query["site"] = ",".join(selection.sites)
    if label_set is not None:
        query["label_set"] = label_set.name
    if figure == "share":
        query["corrected"] = "1"
    return f"{API_COUNTS}?{urlencode(query, safe=',/:')}"


def _utc(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
