"""The receipt of figures in words: how they were found, and what may be missing."""

from dataclasses import dataclass

import numpy as np

from collector.analysis.headline import Headline
from collector.analysis.label_sets import LabelSet
from collector.analysis.receipt import Classifier, Receipt
from collector.language.catalogue import mark
from collector.language.language import Language
from collector.page.controls.selection import Selection
from collector.sentences.charts import left_out
from collector.sentences.figures import share_with_interval, visits_with_doubt
from collector.sentences.period import reference_name, set_name, set_with_visits
from contract.labels import UNKNOWN

TITLES = {
    "visits": mark("visits"),
    "share": mark("share of {label}"),
    "unknown": mark("fraction of visits that were not recognised"),
    "coverage": mark("time watched"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a receipt."""

    name: str
    texts: tuple[str, ...]
    """One text, or one for each classifier."""


def receipt_entries(
    found: Receipt, headline: Headline, sets: list[LabelSet], language: Language, *, correction: bool
) -> list[Entry]:
    """Return what holds for all figures of a period; how shares are corrected only with ``correction``."""
    gettext = language.gettext
    classifiers = tuple(_classifier(each, language) for each in found.classifiers)
    without_time = gettext(
        "{visits} visits of devices whose clock was never set; in no chart over time",
        visits=language.number(found.without_time),
    )
    return [
        Entry(gettext("Windows"), (_windows(found, language),)),
        *[Entry(gettext("Without a time"), (without_time,))] * bool(found.without_time),
        Entry(gettext("Watched"), (_watched(found, language),)),
        Entry(gettext("Held back for privacy"), (_joined(found, language),)),
        Entry(gettext("Doubtful visits"), (_doubtful(found, language),)),
        *[Entry(gettext("Correction"), (_correction(headline, language),))] * correction,
        Entry(gettext("Labels"), (_labels(sets, language),)),
        Entry(gettext("Models"), classifiers or (gettext("none"),)),
        Entry(gettext("Software of the devices"), (", ".join(found.versions) or gettext("not reported"),)),
    ]


def figure_entries(figure: str, headline: Headline, selection: Selection, language: Language) -> list[Entry]:
    """Return the value of one of the four figures, and what it was before."""
    return [
        Entry(language.gettext("Figure"), (_value(figure, headline, language),)),
        Entry(language.gettext("Before"), (_before(figure, headline, selection, language),)),
    ]


def _value(figure: str, headline: Headline, language: Language) -> str:
    if figure == "visits":
        each = headline.visits
        text = visits_with_doubt(each.value, each.low, each.high, language)
        return language.gettext("{visits} visits", visits=text)
    if figure == "share":
        found = headline.share
        share = share_with_interval(found.value, found.low, found.high, language)
        return language.gettext("{share}, of the visits that were recognised; 90 % interval", share=share)
    value = headline.unknown.value if figure == "unknown" else headline.coverage.value
    return f"{language.percent(value)} ({language.number(value, 4)})"


def _before(figure: str, headline: Headline, selection: Selection, language: Language) -> str:
    name = reference_name(selection, language)
    each = {
        "visits": headline.visits, "share": headline.share, "unknown": headline.unknown, "coverage": headline.coverage,
    }[figure]  # fmt: skip
    if np.isnan(each.before):
        return language.gettext("{period}: no data", period=name)
    before = language.percent(each.before)
    if figure == "visits":
        before = language.gettext("{visits} visits", visits=language.number(each.before))
    parts = [f"{name}: {before}"]
    end = selection.span[1].astimezone(selection.zone)
    if end.minute or end.second:
        parts.append(language.gettext("the last hour counts for as long as in this period"))
    change = headline.at_equal_time
    if figure == "visits" and not np.isnan(change.value):
        value, low, high = (language.signed(100 * each, 1) for each in (change.value, change.low, change.high))
        text = language.gettext(
            "change of the same cameras at equal watched time: {value} %, 99 % interval {low} to {high} %",
            value=value, low=low, high=high,
        )  # fmt: skip
        parts.append(text)
    return "; ".join(parts)


def _windows(found: Receipt, language: Language) -> str:
    return language.ngettext(
        "{windows} windows of {number} device",
        "{windows} windows of {number} devices",
        found.devices,
        windows=language.number(found.windows),
    )


def _watched(found: Receipt, language: Language) -> str:
    if np.isnan(found.coverage):
        return language.gettext("no data")
    if found.gap_hours is None:
        return language.gettext(
            "{coverage} of {hours} device hours; gaps are not counted in so many, choose sites",
            coverage=language.percent(found.coverage),
            hours=language.number(found.device_hours),
        )
    return language.gettext(
        "{coverage} of {hours} device hours; no window arrived for {gap} of them (gaps)",
        coverage=language.percent(found.coverage),
        hours=language.number(found.device_hours),
        gap=language.number(found.gap_hours),
    )


def _joined(found: Receipt, language: Language) -> str:
    if found.joined is None and found.gap_hours is None:
        return language.gettext("not listed for so many device hours; choose sites")
    if found.joined is None:
        return language.gettext("not listed for more than 31 days; choose a shorter period")
    each = found.joined
    k = ", ".join(map(str, each.k)) or "-"
    if not each.joined_rows:
        return language.gettext("no window was joined (k = {k})", k=k)
    return language.gettext(
        "{joined} of {rows} rows join several windows, up to {longest}, because they had fewer than k = {k} visits."
        " What a device still holds is missing.",
        joined=language.number(each.joined_rows),
        rows=language.number(each.rows),
        longest=language.duration(each.longest),
        k=k,
    )


def _doubtful(found: Receipt, language: Language) -> str:
    low, high = (language.number(each) for each in found.doubtful)
    return language.gettext("{low} may be no visit of their own, {high} may be two", low=low, high=high)


def _correction(headline: Headline, language: Language) -> str:
    text = language.gettext(
        "Shares as predicted are corrected by the confusion matrix of each model (Saerens, Latinne and Decaestecker"
        " 2002); the interval is a Bayesian bootstrap of visits and matrix (Rubin 1981)."
    )
    if not headline.left_out:
        return text
    return f"{text} {left_out(headline.left_out, language)}"


def _labels(sets: list[LabelSet], language: Language) -> str:
    if not sets:
        return language.gettext("none")
    text = language.gettext(
        "{labels}, {unknown} (label set {name})",
        labels=set_name(sets[0], language), unknown=language.label(UNKNOWN), name=sets[0].name,
    )  # fmt: skip
    if len(sets) == 1:
        return text
    others = "; ".join(set_with_visits(each, language) for each in sets[1:])
    rest = language.gettext("Not included, because other labels have no common total: {others}", others=others)
    return f"{text}. {rest}"


def _classifier(each: Classifier, language: Language) -> str:
    visits, measured = language.number(each.visits), language.number(each.measured)
    if each.matrix is None:
        return language.gettext("{name}: {visits} visits, no confusion matrix", name=each.name, visits=visits)
    if each.matrix == "visits":
        return language.gettext(
            "{name}: {visits} visits, confusion matrix measured on {measured} visits",
            name=each.name, visits=visits, measured=measured,
        )  # fmt: skip
    return language.gettext(
        "{name}: {visits} visits, confusion matrix measured on {measured} faces",
        name=each.name, visits=visits, measured=measured,
    )  # fmt: skip
