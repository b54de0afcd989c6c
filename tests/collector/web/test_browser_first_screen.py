"""The first screen in a real Chromium: what a manager sees, keeps, sorts, opens and prints."""

from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from collector.devices.registry import DeviceRegistry
from contract.message import Status
from contract.topics import Address
from tests.support.brokers import free_port, wait_until
from tests.support.browser import (
    choose,
    chromium,
    click,
    complaints,
    needs_chromium,
    sent_bytes,
    served,
    text,
    violations,
    wait_for_width,
)
from tests.support.device_models import model
from tests.support.store import SEVEN, put, window

pytestmark = needs_chromium
NOW = datetime(2026, 3, 28, 17, 30, tzinfo=timezone.utc)
MAX_BYTES = 1_000_000
"""Over the wire, for the first screen."""
MAX_CHART_BYTES = 2_000_000
"""Over the wire, for the charts: they need plotly.js, 1.5 MB compressed, when they come into view."""
INTERVALS = """
const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; (node = walk.nextNode());)
  for (const part of node.textContent.matchAll(/\\([0-9.,]+\\s\\S{1,3}\\s[0-9.,]+[^()]*\\)/g)) {
    const range = document.createRange();
    range.setStart(node, part.index);
    range.setEnd(node, part.index + part[0].length);
    const lines = new Set([...range.getClientRects()].map((each) => Math.round(each.top)));
    if (lines.size) found.push([node.parentElement.closest('[id]').id, part[0], lines.size]);
  }
return found;
"""
"""Where each visible interval in parentheses is: the nearest element with an id, its text and its number of lines."""
SHOPS = [f"shop-{number:02}" for number in range(1, 13)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two weeks of twelve shops in windows of two hours; the devices of the last four are offline."""
    root = tmp_path_factory.mktemp("store")
    devices = DeviceRegistry(root)
    for number, site in enumerate(SHOPS):
        starts = [NOW - timedelta(hours=2 * n) for n in range(1, 168)]
        visits = dict.fromkeys(SEVEN, 0) | {"happiness": 3, "neutral": 9 + number, "unknown": 1}
        put(
            root,
            *(window(n, visits, start, site=site, end=start + timedelta(hours=2)) for n, start in enumerate(starts)),
        )
        status = Status(schema=1, state="offline" if number >= 8 else "online", boot="0" * 16)
        devices.record(Address(site, "door", "status"), status, False, NOW)
        devices.record(Address(site, "door", "model"), model(), False, NOW)
    devices.save()
    with served(root, free_port(), "Europe/Berlin", lambda: NOW) as url:
        yield url


def opened(driver: Any, url: str) -> None:
    driver.get(url)
    drawn = lambda: all(text(driver, name) for name in ("banner", "tile-visits", "ranking"))  # noqa: E731 - one line
    wait_until(drawn, "the first screen is drawn")


@pytest.mark.parametrize(("width", "height", "dark"), [(1280, 900, False), (375, 800, True)])
def test_what_needs_a_person_is_at_the_top(address: str, tmp_path: Path, width: int, height: int, dark: bool) -> None:
    """All four offline devices are named in the first 400 pixels, in no scroll box, whatever site is selected. Nothing
    is wider than the screen, and axe finds no violation.
    """
    with chromium(tmp_path, width, height, dark) as driver:
        opened(driver, address + "?site=shop-01&receipt=share")
        wait_until(lambda: "Saerens" in text(driver, "receipt-panel"), "the receipt is drawn")
        box = driver.execute_script(
            "const b = document.getElementById('banner'), r = b.getBoundingClientRect();"
            "return [r.top, r.bottom, b.scrollHeight - b.clientHeight]"
        )
        assert box[0] >= 0 and box[1] < 400 and box[2] <= 0
        assert all(f"{site} / door" in text(driver, "banner") for site in SHOPS[8:])
        wait_for_width(driver, width)
        assert violations(driver) == []
        assert complaints(driver) == []


def test_no_line_ends_within_parentheses_on_a_phone(tmp_path: Path) -> None:
    """At 360 pixels, each range such as "25,284 (24,444 to 26,544)" has its parentheses in one line, on the first
    screen and in the tables below, although it is wider than its column.
    """
    root = tmp_path / "store"
    visits = dict.fromkeys(SEVEN, 0) | {"happiness": 100, "neutral": 200, "unknown": 1}
    starts = [NOW - timedelta(hours=2 * n) for n in range(1, 85)]
    for site in SHOPS[:3]:
        doubt = {"site": site, "schema": 2, "doubtful_low": 10, "doubtful_high": 15}
        put(root, *(window(n, visits, each, end=each + timedelta(hours=2), **doubt) for n, each in enumerate(starts)))
    with served(root, free_port(), "Europe/Berlin", lambda: NOW) as url, chromium(tmp_path, 360, 800) as driver:
        opened(driver, url + "?receipt=visits")
        driver.execute_script("document.getElementById('below').scrollIntoView()")
        wait_until(lambda: "(" in text(driver, "totals") and "(" in text(driver, "ranking"), "the tables are drawn")
        wait_for_width(driver, 360)
        found = driver.execute_script(INTERVALS)
        assert {part for part, _, _ in found} >= {"ranking", "totals"}
        assert [each for each in found if each[2] > 1] == []


def test_choices_survive_a_reload_and_can_be_shared(address: str, tmp_path: Path) -> None:
    """Period, sites and sorting are in the address; a reload, or another browser with it, shows the same."""
    with chromium(tmp_path) as driver:
        opened(driver, address)
        assert urlsplit(driver.current_url).query == "", "the defaults need no address"
        choose(driver, "days", "30")
        click(driver, "#sites-chosen")
        for site in SHOPS[:2]:
            click(driver, f"#sites input[value='{site}']")
        wait_until(lambda: "shop-01, shop-02:" in text(driver, "compared-with"), "the choice is drawn")
        click(driver, "[data-sort^='share']")
        asked = {"period": ["30"], "site": ["shop-01,shop-02"], "sort": ["share-down"]}
        wait_until(lambda: parse_qs(urlsplit(driver.current_url).query) == asked, "the address follows")
        sorted_by_share = "[aria-sort='descending'] [data-sort='share']"
        wait_until(lambda: driver.find_elements("css selector", sorted_by_share), "the ranking is sorted")
        before = (text(driver, "tile-visits"), text(driver, "ranking"), text(driver, "compared-with"))
        driver.refresh()
        wait_until(lambda: text(driver, "compared-with") == before[2], "the same view is drawn")
        wait_until(lambda: text(driver, "ranking") == before[1], "the same ranking is drawn")
        wait_until(lambda: text(driver, "tile-visits") == before[0], "the same figures are drawn")
        assert driver.execute_script("return document.getElementById('days').value") == "30"
        click(driver, "[data-receipt='visits']")
        wait_until(lambda: "by=total" in text(driver, "receipt-panel"), "the receipt opens")
        wait_until(lambda: "receipt=visits" in driver.current_url, "the address follows")


def test_the_first_view_is_below_a_megabyte_and_can_be_printed(address: str, tmp_path: Path) -> None:
    """The figures and the ranking come in less than a megabyte, by the browser's own count; the charts follow."""
    with chromium(tmp_path) as driver:
        opened(driver, address)
        assert 100_000 < (first := sent_bytes(driver)) < MAX_BYTES, first
        driver.execute_script("document.getElementById('below').scrollIntoView()")
        wait_until(lambda: len(text(driver, "heat-words")) > 20, "the charts are drawn")
        assert (sent := sent_bytes(driver)) < MAX_CHART_BYTES, sent
        pdf = b64decode(driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
        assert pdf.startswith(b"%PDF") and len(pdf) > 20_000


def test_the_reader_chooses_the_language(address: str, tmp_path: Path) -> None:
    """An address with a language shows it and keeps it; the list changes it; the figures stay the same."""
    with chromium(tmp_path) as driver:
        opened(driver, address + "?lang=de&period=week")
        german = {"figures": ("Anteil Freude", "kann Zufall sein"), "banner": ("4 von 12 Geräten brauchen",)}
        wait_until(
            lambda: all(part in text(driver, name) for name, parts in german.items() for part in parts),
            "the page is in German",
        )
        assert driver.execute_script("return document.documentElement.lang") == "de"
        figures = [text(driver, f"tile-{name}") for name in ("unknown", "coverage")]
        opened(driver, address + "?period=week")
        wait_until(lambda: "Anteil Freude" in text(driver, "figures"), "the choice is kept")
        driver.execute_script(
            "const list = document.getElementById('lang');"
            "Object.getOwnPropertyDescriptor(HTMLSelectElement.prototype, 'value').set.call(list, 'en');"
            "list.dispatchEvent(new Event('change', {bubbles: true}))"
        )
        english = lambda: "Share of happiness" in text(driver, "figures") and "Sites" in text(driver, "ranking")  # noqa: E731
        wait_until(english, "the page is in English")
        expected = [each.replace("\N{NO-BREAK SPACE}", " ") for each in figures]
        shown = lambda: [text(driver, f"tile-{name}") for name in ("unknown", "coverage")]  # noqa: E731 - one line
        wait_until(lambda: shown() == expected, "the figures are the same")
        assert not complaints(driver)


def test_of_51_sites_the_last_one_is_not_listed_and_the_page_says_so(tmp_path: Path) -> None:
    """Another order shows it, and hides another one. The text is in the reader's language, and gone for few sites."""
    root, sites = tmp_path / "store", [f"shop-{number:02}" for number in range(1, 52)]
    for number, site in enumerate(sites, 1):
        put(root, window(1, dict.fromkeys(SEVEN, 0) | {"neutral": number}, NOW - timedelta(hours=2), site=site))
    with served(root, free_port(), "Europe/Berlin", lambda: NOW) as url, chromium(tmp_path, 1280, 900, False) as driver:
        for query, missing, said in (
            ("?sort=visits-down", "shop-01", "1 more site is not listed. Sort by another figure, or choose sites."),
            ("?sort=visits", "shop-51", "1 more site is not listed."),
            ("?sort=visits&lang=de", "shop-51", "1 weiterer Standort ist nicht aufgeführt."),
        ):
            opened(driver, url + query)
            wait_until(lambda said=said: said in text(driver, "ranking"), said)  # type: ignore[misc]
            shown = text(driver, "ranking")
            assert [site for site in sites if site not in shown] == [missing]
        opened(driver, url + "?site=shop-01")
        wait_until(lambda: "shop-02" not in text(driver, "ranking"), "only the chosen site is listed")
        assert "not listed" not in text(driver, "ranking")
        assert complaints(driver) == []
