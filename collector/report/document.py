"""The report as one HTML file: no script, and nothing that is fetched from elsewhere."""

from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from collector.language.language import Language
from collector.page.controls.api_address import api_address
from collector.page.controls.selection import file_stem
from collector.report.contents import Contents
from collector.report.day_chart import day_chart
from collector.report.descriptions import describe_days, describe_mix
from collector.report.rows import heat_rows, mix_rows, site_rows
from collector.report.week import WEEK, week_code
from collector.sentences.attention import attention_summary, concern_groups
from collector.sentences.charts import describe_heat
from collector.sentences.damages import damage_texts
from collector.sentences.explanations import explanations
from collector.sentences.figures import FigureWords, expression, figure_words, names_of_sites
from collector.sentences.period import compared_with, not_included
from collector.sentences.receipt import TITLES, Entry, figure_entries, receipt_entries

MAX_DAMAGES = 10
"""Damaged files that a report names; the page names more."""


@dataclass(frozen=True, slots=True)
class Document:
    """A report in one language."""

    name: str
    """Name of its file without the ending, such as ``facetally-shop-1-2026-W13``."""
    title: str
    """``Weekly report: all sites``."""
    period: str
    """``Week 13, 2026: 23 - 29 Mar 2026``."""
    summary: str
    """What needs a person, in one line."""
    figures: tuple[FigureWords, ...]
    html: str


def make_document(contents: Contents, language: Language) -> Document:
    """Return the report. Names from devices are escaped."""
    name, title, period = _names(contents, language)
    summary = attention_summary(contents.concerns, contents.devices, language)
    figures = figure_words(contents.headline, language)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_resource("report.html"))
    html = template.render(
        _=language.gettext,
        language=language.code,
        style=Markup(_resource("report.css")),  # noqa: S704 - a file of this package
        title=title,
        period=period,
        summary=summary,
        figures=figures,
        created=language.moment(contents.created.astimezone(contents.selection.zone)),
        **_sections(contents, language),
    )
    return Document(name, title, period, summary, figures, html.replace(" %", "\N{NO-BREAK SPACE}%"))


def _resource(name: str) -> str:
    return files("collector.report").joinpath(name).read_text(encoding="utf-8")


def _names(contents: Contents, language: Language) -> tuple[str, str, str]:
    """Return the name of the file, the title and the period."""
    selection = contents.selection
    first, past = (moment.astimezone(selection.zone) for moment in selection.span)
    sites = names_of_sites(selection.sites, language)
    days = language.days(selection.span, selection.zone)
    if first.weekday() == 0 and past.date() - first.date() == WEEK:
        year, week, _ = first.isocalendar()
        name = language.gettext("Week {week}, {year}: {days}", week=week, year=year, days=days)
        return (
            file_stem(selection.sites, week_code(first.date())),
            language.gettext("Weekly report: {sites}", sites=sites),
            name,
        )
    last = max((past - timedelta(microseconds=1)).date(), first.date())
    stem = file_stem(selection.sites, f"{first:%Y%m%d}-{last:%Y%m%d}")
    return stem, language.gettext("Report: {sites}", sites=sites), days


def _sections(contents: Contents, language: Language) -> dict[str, Any]:
    """Return the values of the template's sections."""
    words = describe_days(contents, language)
    return {
        "groups": concern_groups(contents.concerns, language),
        "notice": not_included(contents.sets, language),
        "compared": compared_with(contents.selection, language),
        "expression": expression(contents.label, language),
        "sites": site_rows(contents.sites, language),
        "chart": Markup(day_chart(contents.days, language, words)),  # noqa: S704
        "chart_words": words,
        "heat": heat_rows(contents, language),
        "hours": [f"{hour:02}" for hour in contents.hours],
        "heat_words": describe_heat(contents.rates, "visits", contents.hours, language),
        "mix": mix_rows(contents, language),
        "mix_words": describe_mix(language),
        "receipt": _receipt(contents, language),
        "queries": _queries(contents, language),
        "damages": damage_texts(contents.damages, MAX_DAMAGES, language),
        "explanations": explanations(language),
    }


def _receipt(contents: Contents, language: Language) -> list[Entry]:
    """Return how the figures were found: first each figure and what it was before, then what holds for all."""
    entries = []
    for figure in TITLES:
        value, before = figure_entries(figure, contents.headline, contents.selection, language)
        entries.append(
            Entry(_figure_name(figure, contents, language), (*value.texts, f"{before.name}: {before.texts[0]}"))
        )
    return [
        *entries, *receipt_entries(contents.receipt, contents.headline, contents.sets, language, correction=True)
    ]  # fmt: skip


def _queries(contents: Contents, language: Language) -> list[tuple[str, str]]:
    """Return the query of the HTTP API that answers with each figure."""
    chosen = contents.sets[0] if contents.sets else None
    return [
        (_figure_name(figure, contents, language), api_address(contents.selection, figure, chosen))
        for figure in TITLES
    ]  # fmt: skip


def _figure_name(figure: str, contents: Contents, language: Language) -> str:
    text = language.gettext(TITLES[figure], label=expression(contents.label, language))
    return text[:1].upper() + text[1:]
