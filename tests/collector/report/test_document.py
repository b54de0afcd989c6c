"""The report says what the page says, in the reader's language, and holds nothing that runs or is fetched."""

import re
import shutil
import subprocess
from datetime import date, datetime, timedelta
from functools import cache
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markupsafe import escape as markup

from base.errors import SettingsError
from collector.language.language import language
from collector.page.controls.selection import InvalidSelection
from collector.page.first_screen.first_screen import FirstScreen
from collector.reading.reader import Reader
from collector.report.contents import gather
from collector.report.document import Document, make_document
from collector.report.week import last_week, parse_day, parse_week, select_days, select_week
from tests.support.pages import text_of
from tests.support.shops import BERLIN, MONDAY, two_weeks

WEEK = date(2026, 3, 23)
needs_poppler = pytest.mark.skipif(not shutil.which("pdftotext"), reason="pdftotext: apt-get install poppler-utils")
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_weeks(tmp_path_factory.mktemp("store"))


@cache
def document(store: Path, code: str = "en", sites: tuple[str, ...] = (), now: datetime = MONDAY) -> Document:
    words = language(code)
    reader = Reader(store, lambda: now)
    return make_document(gather(reader, select_week(WEEK, sites, BERLIN, now), now, words), words)


def plain(html: str) -> str:
    """Return the visible text."""
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_the_report_says_what_the_first_screen_says(store: Path) -> None:
    """All four figures, their changes and how clear they are, and each site's visits, are those of the page."""
    controls = {"days": "own", "first": "2026-03-23", "last": "2026-03-29", "zone": "Europe/Berlin"}
    shown = FirstScreen(Reader(store, lambda: MONDAY), lambda: MONDAY).figures(controls)
    text = plain(document(store).html)
    made = document(store)
    for figure in made.figures:
        assert figure.value and figure.value in text_of(shown.tiles)
        assert figure.change in text_of(shown.tiles) and figure.significance in text_of(shown.tiles)
        assert figure.change in text
    found = re.findall(r"shop-\d ([\d,]+) .*?(\d+ % \(\d+ to \d+\))", text_of(shown.sites))
    assert len(found) == 2
    for visits, share in found:
        assert visits in text and share in text
    assert "clear change" in text


def test_the_report_has_all_its_parts(store: Path) -> None:
    made = document(store)
    assert (made.name, made.title) == ("facetally-2026-W13", "Weekly report: all sites")
    assert re.fullmatch(r"Week 13, 2026: 23\W+29 Mar 2026", made.period)
    text = plain(made.html)
    for part in (
        "Sites",
        "Visits per day",
        "Expression mix",
        "Busiest hours of the week",
        "How the numbers were found",
    ):
        assert part in text
    assert "Offline: shop-2 / door" in text and "1 of 2 devices needs attention" in text
    assert "/api/v1/counts?by=total&amp;since=2026-03-22T23:00:00" in made.html
    assert made.html.count('class="heat"') == 1 and ">11<" in made.html and ">03<" not in made.html, "cropped"
    for number in ("70 windows of 2 devices", "confusion matrix measured on 4,200 faces"):
        assert number in text


def test_the_report_of_a_site_is_about_that_site(store: Path) -> None:
    made = document(store, sites=("shop-1",))
    assert made.name == "facetally-shop-1-2026-W13" and "shop-2" not in made.html
    assert "Nothing needs attention: 1 device online." in made.html
    with pytest.raises(InvalidSelection, match="There is no site shop-9"):
        document(store, sites=("shop-9",))


def test_a_german_report_is_german(store: Path) -> None:
    """Numbers, dates, labels and words; the figures are the same."""
    made, other = document(store, "de"), document(store)
    text = plain(made.html)
    assert made.title == "Wochenbericht: alle Standorte" and made.period == "Woche 13, 2026: 23.–29. März 2026"  # noqa: RUF001
    assert '<html lang="de">' in made.html
    for word in ("Anteil Freude", "klare Änderung", "Montag", "erstellt am 30. März 2026 08:10", "1 von 2 Geräten"):
        assert word in text
    for word in ("clear change", "visits", "Share", "happiness", "Monday", "watched"):
        assert word not in text
    digits = [re.sub(r"\D", "", figure.value) for figure in made.figures]
    assert digits == [re.sub(r"\D", "", figure.value) for figure in other.figures]


class _Finder(HTMLParser):
    """Collects tags and what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        names = {name for name, _ in attrs}
        self.fetched += [str(attrs)] if names & {"src", "href", "srcset", "data", "action"} else []
        assert not any(name.startswith("on") for name in names), attrs


def test_nothing_runs_and_nothing_is_fetched(store: Path) -> None:
    finder, html = _Finder(), document(store).html
    finder.feed(html)
    assert "table" in finder.tags and finder.fetched == []
    assert finder.tags.isdisjoint({"script", "iframe", "object", "embed", "form", "link", "base", "img"})
    assert "url(" not in html and "@import" not in html and "default-src 'none'" in html


def test_names_are_escaped(store: Path) -> None:
    """A label of HTML, of a template or of a formula is text, in tables, drawings and attributes."""
    names = {"neutral": HOSTILE, "happiness": '"><img src=x onerror=alert(1)>', "sadness": "=1+{{ 7 * 7 }}%s {0}"}
    words = language("de")
    contents = gather(Reader(store, lambda: MONDAY, names), select_week(WEEK, (), BERLIN, MONDAY), MONDAY, words)
    made = make_document(contents, words)
    finder = _Finder()
    finder.feed(made.html)
    assert "script" not in finder.tags and "img" not in finder.tags and finder.fetched == []
    for name in names.values():
        assert escape(name) in made.html and str(markup(name)) in made.html


def test_an_empty_store_gives_a_report_that_says_so(tmp_path: Path) -> None:
    text = plain(document(tmp_path).html)
    assert "No device has sent anything yet." in text and "No data arrived in this period." in text
    assert "nan" not in text.lower()


@needs_poppler
def test_the_pdf_has_the_same_numbers(store: Path, tmp_path: Path) -> None:
    """It is A4, has its title, and its text can be searched."""
    pytest.importorskip("weasyprint", reason="the extra report is not installed")
    from collector.report.pdf import make_pdf

    made, file = document(store, "de"), tmp_path / "report.pdf"
    file.write_bytes(make_pdf(made.html))
    text = subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, text=True, check=True).stdout
    for figure in made.figures:
        assert figure.value.replace("\N{NO-BREAK SPACE}", " ") in text.replace("\N{NO-BREAK SPACE}", " ")
    info = subprocess.run(["pdfinfo", file], capture_output=True, text=True, check=True).stdout
    assert "A4" in info and "Wochenbericht: alle Standorte" in info
    assert int(re.findall(r"Pages:\s+(\d+)", info)[0]) <= 3


def test_a_pdf_fetches_nothing() -> None:
    pytest.importorskip("weasyprint", reason="the extra report is not installed")
    from collector.report.pdf import make_pdf

    made = make_pdf("<p>text<img src='file:///etc/hostname'><img src='http://127.0.0.1:9/x.png'></p>")
    assert made.startswith(b"%PDF") and b"/Image" not in made


@pytest.mark.parametrize("text", ["2026-W54", "2026-13", "W13", "2026-W00", "last week", "2026-W1٣"])
def test_a_wrong_week_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="--week: must be a week such as 2026-W13"):
        parse_week(text, MONDAY, BERLIN)


def test_weeks_and_days() -> None:
    assert parse_week("last", MONDAY, BERLIN) == parse_week("2026-W13", MONDAY, BERLIN) == WEEK
    assert last_week(datetime(2026, 3, 29, 21, 59, tzinfo=MONDAY.tzinfo), BERLIN) == date(2026, 3, 16)
    assert last_week(datetime(2026, 3, 29, 22, 0, tzinfo=MONDAY.tzinfo), BERLIN) == WEEK
    span = select_week(WEEK, (), BERLIN, MONDAY).span
    assert span[1] - span[0] == timedelta(days=7, hours=-1), "clocks go forward on Sunday"
    with pytest.raises(SettingsError, match="--since: must be a day"):
        parse_day("--since", "29.03.2026")
    with pytest.raises(SettingsError, match="must not be after today"):
        select_days(date(2026, 4, 2), date(2026, 4, 3), (), BERLIN, MONDAY)
