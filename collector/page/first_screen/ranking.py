"""The sites as a ranked table that can be sorted: visits, change, sparkline, share, unknown, coverage, devices."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from dash import html

from collector.analysis.ranked_sites import DOWN, RankedSite
from collector.exports.sparkline import sparkline
from collector.language.catalogue import mark
from collector.language.language import Language
from collector.page.controls.parts import text_button
from collector.page.controls.selection import Selection, address
from collector.sentences.figures import arrow, expression, share_with_interval, visits_with_doubt

HEADS = {
    "site": mark("site"), "visits": mark("visits"), "change": mark("change"), "": mark("visits over time"),
    "share": mark("share of {label}"), "unknown": mark("unknown"), "coverage": mark("watched"),
}  # fmt: skip
"""Sort key: head. The sparkline cannot be sorted by."""


MAX_SITES = 50
"""Sites that are listed: a browser needs a second for a thousand rows. Another sort shows others."""


def ranking(sites: Sequence[RankedSite], selection: Selection, label: str | None, language: Language) -> list[Any]:
    """Return the table of the first sites, which are sorted as selected, and how many others there are."""
    key, down = selection.controls.sort.removesuffix(DOWN), selection.controls.sort.endswith(DOWN)
    body = [_row(site, selection, language) for site in sites[:MAX_SITES]]
    if not body:
        body = [html.Tr(html.Td(language.gettext("No site has sent anything yet."), colSpan=len(HEADS) + 1))]
    shown = expression(label, language)
    heads = [_head(name, language.gettext(text, label=shown), key, down) for name, text in HEADS.items()]
    head = html.Tr([*heads, html.Th(language.gettext("devices"), scope="col", className="number wide")])
    caption = language.gettext("Sites in this period. Select a head to sort, a name to see one site.")
    table = html.Table([html.Caption(caption), html.Thead(head), html.Tbody(body)], className="ranking")
    return [table, *([_more(len(sites) - MAX_SITES, language)] if len(sites) > MAX_SITES else [])]


def _more(number: int, language: Language) -> html.P:
    text = language.ngettext(
        "{number} more site is not listed. Sort by another figure, or choose sites.",
        "{number} more sites are not listed. Sort by another figure, or choose sites.",
        number,
    )
    return html.P(text)


def _head(name: str, text: str, key: str, down: bool) -> html.Th:
    """Return a head with a button that sorts, in the other direction if it is sorted by already."""
    kind = {"site": "", "": "wide", "unknown": "number wide", "coverage": "number wide"}.get(name, "number")
    if not name:
        return html.Th(text, scope="col", className=kind)
    ascending = (key == name and down) or (name == "site" and key != name)
    button = text_button(text, sort=name + ("" if ascending else DOWN))
    state: dict[str, Any] = {"aria-sort": "descending" if down else "ascending"} if key == name else {}
    return html.Th(
        [button, {True: " ▼", False: " ▲"}[down] if key == name else ""], scope="col", className=kind, **state
    )


def _row(site: RankedSite, selection: Selection, language: Language) -> html.Tr:
    link = html.A(site.name, href=address(selection.controls, sites=(site.name,), receipt=""))
    online = html.Td(
        language.gettext("{online} of {devices}", online=site.online, devices=site.devices),
        className="number wide" + " warn" * (site.online < site.devices),
    )
    found = site.headline
    if found is None:
        no_data = html.Td(language.gettext("no data"), colSpan=len(HEADS) - 1)
        return html.Tr([html.Th(link, scope="row"), no_data, online])
    visits, share = found.visits, found.share
    text = visits_with_doubt(visits.value, visits.low, visits.high, language)
    share_text = share_with_interval(share.value, share.low, share.high, language)
    receipt = address(selection.controls, sites=(site.name,), receipt="visits")
    share_receipt = address(selection.controls, sites=(site.name,), receipt="share")
    change: list[Any] = [
        html.Span(f"{arrow(visits)} {language.signed_percent(visits.change)}", className=f"change {visits.trend}")
    ]
    if np.isnan(visits.change):
        change = ["-"]
    moved = f"{arrow(share)} {language.points(share.change)}" if not np.isnan(share.change) else ""
    how = language.gettext("How was this found?")
    return html.Tr(
        [
            html.Th(link, scope="row"),
            html.Td(html.A(text, href=receipt, title=how), className="number"),
            html.Td(change, className="number"),
            html.Td(html.Img(src=sparkline(site.visits_over_time), alt="", className="spark"), className="wide"),
            html.Td([html.A(share_text, href=share_receipt, title=how), " ",
                     html.Span(moved, className=f"change {share.trend} wide")], className="number"),
            html.Td(language.percent(found.unknown.value), className="number wide"),
            html.Td(language.percent(found.coverage.value), className="number wide"),
            online,
        ]
    )  # fmt: skip
