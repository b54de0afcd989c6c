"""The receipt of a figure on the page: how it was found, what may be missing, and the query that gives it again."""

from datetime import datetime, timezone
from urllib.parse import urlencode

import numpy as np
from dash import html

from collector.analysis.headline import Headline
from collector.analysis.label_sets import LabelSet
from collector.analysis.receipt import Classifier, Receipt
from collector.devices.attention import duration
from collector.page.parts import text_button
from collector.page.selection import Selection
from collector.page.tables import format_number, format_visits
from collector.page.tiles import percent, share_with_interval
from contract.labels import UNKNOWN

TITLES = {
    "visits": "visits",
    "share": "share of {label}",
    "unknown": "fraction of visits that were not recognised",
    "coverage": "time watched",
}
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


def receipt_panel(
    figure: str, found: Receipt, headline: Headline, selection: Selection, sets: list[LabelSet]
) -> html.Div:
    """Return the receipt of one of the figures of the first screen."""
    chosen = sets[0] if sets else None
    link = api_address(selection, figure, chosen)
    entries = [
        ("Figure", _value(figure, headline)),
        ("Before", _before(figure, headline, selection)),
        ("Of", f"{selection}"),
        ("Windows", _windows(found)),
        ("Watched", _watched(found)),
        ("Held back for privacy", _joined(found)),
        ("Doubtful visits", _doubtful(found)),
        ("Labels", _labels(sets)),
        (
            "Models",
            html.Ul([html.Li(_classifier(each)) for each in found.classifiers]) if found.classifiers else "none",
        ),
        ("Software of the devices", ", ".join(found.versions) or "not reported"),
    ]
    if figure == "share":
        entries.insert(7, ("Correction", _correction(found, headline)))
    if found.without_time:
        text = f"{format_number(found.without_time)} visits of devices whose clock was never set; in no chart over time"
        entries.insert(4, ("Without a time", text))
    rows = [each for name, value in entries for each in (html.Dt(name), html.Dd(value))]
    query = [html.Dt("The same figure from the HTTP API"), html.Dd(html.A(link, href=link, id="receipt-query"))]
    title = TITLES[figure].format(label=headline.label or "expression")
    head = html.Div([html.H2(f"How was this found: {title}"), text_button("Close", receipt="")], className="head")
    return html.Div([head, html.Dl([*rows, *query])], className="receipt")


def _utc(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _value(figure: str, headline: Headline) -> str:
    if figure == "visits":
        each = headline.visits
        return format_visits(each.value, each.value - each.low, each.high - each.value) + " visits"
    if figure == "share":
        return f"{share_with_interval(headline.share)}, of the visits that were recognised; 90 % interval"
    value = headline.unknown.value if figure == "unknown" else headline.coverage.value
    return f"{percent(value)} ({value:.4f})"


def _before(figure: str, headline: Headline, selection: Selection) -> str:
    reference = selection.reference()
    name = reference.names if selection.controls.against == "site" else reference.when
    each = {
        "visits": headline.visits, "share": headline.share, "unknown": headline.unknown, "coverage": headline.coverage,
    }[figure]  # fmt: skip
    if np.isnan(each.before):
        return f"{name}: no data"
    before = format_number(each.before) + " visits" if figure == "visits" else percent(each.before)
    rule = "the last hour counts for as long as in this period"
    if figure == "visits" and not np.isnan(headline.at_equal_time.value):
        change = headline.at_equal_time
        rule += (
            f"; change of the same cameras at equal watched time: {100 * change.value:+.1f} %, 99 % interval"
            f" {100 * change.low:+.1f} to {100 * change.high:+.1f} %"
        )
    return f"{name}: {before}; {rule}"


def _windows(found: Receipt) -> str:
    return f"{found.windows:,} windows of {found.devices} device{'s' * (found.devices != 1)}"


def _watched(found: Receipt) -> str:
    if np.isnan(found.coverage):
        return "no data"
    return (
        f"{percent(found.coverage)} of {found.device_hours:,.0f} device hours; no window arrived for"
        f" {found.gap_hours:,.0f} of them (gaps)"
    )


def _joined(found: Receipt) -> str:
    if found.joined is None:
        return "not listed for more than 31 days; choose a shorter period"
    each = found.joined
    if not each.joined_rows:
        return f"no window was joined (k = {', '.join(map(str, each.k)) or '-'})"
    return (
        f"{each.joined_rows:,} of {each.rows:,} rows join several windows, up to {duration(each.longest)}, because they"
        f" had fewer than k = {', '.join(map(str, each.k))} visits. What a device still holds is missing."
    )


def _doubtful(found: Receipt) -> str:
    low, high = (format_number(each) for each in found.doubtful)
    return f"{low} may be no visit of their own, {high} may be two"


def _correction(found: Receipt, headline: Headline) -> str:
    text = (
        "Shares as predicted are corrected by the confusion matrix of each model (Saerens, Latinne and Decaestecker"
        " 2002); the interval is a Bayesian bootstrap of visits and matrix (Rubin 1981)"
    )
    if not headline.left_out:
        return text + "."
    left_out = format_number(headline.left_out)
    return f"{text}. {left_out} visits are left out: no device reports the matrix of their model."


def _labels(sets: list[LabelSet]) -> str:
    if not sets:
        return "none"
    text = f"{sets[0]}, {UNKNOWN} (label set {sets[0].name})"
    others = "; ".join(f"{each} ({format_number(each.visits)} visits)" for each in sets[1:])
    return f"{text}. Not included, because other labels have no common total: {others}" if others else text


def _classifier(each: Classifier) -> str:
    matrix = "no confusion matrix"
    if each.matrix is not None:
        matrix = f"confusion matrix measured on {each.measured:,} {each.matrix}"
    return f"{each.name}: {format_number(each.visits)} visits, {matrix}"
