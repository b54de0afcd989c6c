"""The page in German, in a real Chromium: no text of it is left in English."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from io import StringIO
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from babel.messages.pofile import read_po
from msgspec.structs import replace

from collector.devices.registry import DeviceRegistry
from collector.language.catalogue import source_of
from collector.recount.files import read_sessions, write_recounts
from collector.recount.recount import Recount
from contract.message import Status
from contract.topics import Address
from tests.support.brokers import free_port, wait_until
from tests.support.browser import chromium, complaints, needs_chromium, served, text, violations, wait_for_charts
from tests.support.messages import MESSAGES
from tests.support.shops import MIX, MONDAY, two_weeks
from tests.support.store import put, window

pytestmark = needs_chromium
NBSP = "\N{NO-BREAK SPACE}"
SHOWN = 180
"""Messages that the page shows in this state of the store; the others belong to other states, or to the report."""
TEXTS = """
const texts = [], skipped = '#zone, #lang, #receipt-query, script, style, .js-plotly-plot .hoverlayer';
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; (node = walk.nextNode());) if (!node.parentElement.closest(skipped)) texts.push(node.textContent);
for (const each of document.querySelectorAll('[aria-label], [title], [alt]'))
  texts.push(...['aria-label', 'title', 'alt'].map((name) => each.getAttribute(name) || ''));
const add = (value) => {
  if (typeof value === 'string') texts.push(value);
  else if (value && typeof value === 'object') Object.values(value).forEach(add);
};
for (const plot of document.querySelectorAll('.js-plotly-plot'))
  for (const trace of plot.data) add([trace.name, trace.hovertemplate, trace.customdata, trace.colorbar, trace.y]);
return texts.map((each) => each.trim().replaceAll('\u00a0', ' ')).filter(Boolean);
"""
"""All texts of the page, closed parts and hover texts too, without names of zones and languages and the API's query."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two weeks of two shops with all that the page has words for: concerns, tracks, recounts, damage, other labels."""
    root = two_weeks(tmp_path_factory.mktemp("store"))
    recent = [MONDAY - timedelta(minutes=each) for each in (50, 40, 20, 10)]
    put(root, *(window(5000 + n, MIX, start, end=start + timedelta(minutes=10)) for n, start in enumerate(recent)))
    put(root, window(6000, {"positive": 9, "negative": 3, "unknown": 1}, recent[0], device="till"))
    put(root, window(6001, MIX, recent[0], clock="unsynced", boot="d" * 16))
    next(root.glob("date=2026-03-20/site=shop-2/*.csv")).write_text("a,b\n1,2\n")
    devices = DeviceRegistry(root)
    health = replace(MESSAGES["health-4"], boot="0" * 16, time=MONDAY, tracks_ended={"counted": 20, "dwell": 5})
    devices.record(Address("shop-1", "door", "health"), health, False, MONDAY)
    devices.save()
    span = {"started": recent[0], "start": recent[0], "end": recent[2], "compared": recent[3], "windows": 3}
    write_recounts(root, [Recount(site="shop-1", device="door", by_hand=62, counted=60, **span)])  # type: ignore[arg-type]
    with served(root, free_port(), "Europe/Berlin", lambda: MONDAY) as url:
        yield url


def pattern(message: str) -> re.Pattern[str]:
    """Return what finds a message in a text, whatever its placeholders stand for."""
    parts = ((re.escape(literal), name) for literal, name, _, _ in Formatter().parse(message))
    whole = "".join(
        literal.replace("\N{NO-BREAK SPACE}", " ") + (".+?" if name is not None else "") for literal, name in parts
    )
    return re.compile(rf"(?<!\w){whole}(?!\w)", re.DOTALL)


def translated() -> dict[str, str]:
    """German text: English text, of the messages whose texts differ."""
    pairs = {}
    for message in filter(lambda each: each.id, read_po(StringIO(source_of("de")), locale="de")):
        one: Any = message.id if isinstance(message.id, tuple) else (message.id,)
        other: Any = message.string if isinstance(message.string, tuple) else (message.string,)
        pairs |= {german: english for english, german in zip(one, other, strict=True) if english != german}
    return pairs


def english_left(texts: list[str]) -> dict[str, str]:
    """Return the English messages that are in some texts although they have a translation."""
    return {english: each for english in translated().values() for each in texts if pattern(english).search(each)}


def opened(driver: Any, url: str) -> None:
    """Return when the whole page is drawn, the receipt too."""
    driver.get(url)
    wait_until(lambda: text(driver, "receipt-panel") and text(driver, "ranking"), "the receipt is drawn")
    driver.execute_script("document.getElementById('below').scrollIntoView()")
    for name in ("trend", "shares", "heat", "comparison", "live", "devices"):
        ready = lambda name=name: len(text(driver, name if name == "devices" else f"{name}-words")) > 20  # noqa: E731
        wait_until(ready, f"{name} is drawn")
    wait_for_charts(driver, "trend", "shares", "heat", "comparison", "live")
    driver.execute_script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")


def test_no_english_is_left(address: str, tmp_path: Path) -> None:
    """No English text of the catalogue is on the page, in no table, hover text or name for screen readers; most German
    ones are. Numbers are written as in German. axe finds no violation.
    """
    with chromium(tmp_path) as driver:
        opened(driver, address + "?lang=de&receipt=share")
        found = driver.execute_script(TEXTS)
        damaged = "date=2026-03-20/site=shop-2/"
        (reason,) = (each for each in found if each.startswith(damaged))
        assert "nicht enthalten: die ersten Spalten müssen schema, site, device" in reason
        texts = [each for each in found if not each.startswith(damaged)]  # names of columns are English
        pairs = translated()
        assert english_left(texts) == {}
        shown = {german for german in pairs if any(pattern(german).search(each) for each in texts)}
        assert len(shown) >= SHOWN, sorted(pairs.keys() - shown)
        assert {"Freude", "30.03.2026", "Mo"} <= {part for each in texts for part in re.findall(r"[\w.]+", each)}
        axis = driver.execute_script("return document.querySelector('#trend .x2tick text').textContent")
        assert "März" in axis
        assert violations(driver) == []
        assert complaints(driver) == []


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def test_no_english_is_left_on_the_phone(tmp_path: Path) -> None:
    """Each step of a count by hand is in the language that the reader has chosen, up to the result of the API."""
    root, start = tmp_path / "store", utc_now()
    root.mkdir()
    devices = DeviceRegistry(root)
    devices.record(Address("shop-1", "door", "status"), Status(schema=1, state="online", boot="0" * 16), False, start)
    devices.save()
    seen = lambda name: text(driver, name)  # noqa: E731 - one line
    with served(root, free_port(), "UTC", utc_now) as url, chromium(tmp_path, width=360, height=667) as driver:
        driver.get(url + "recount")
        driver.add_cookie({"name": "lang", "value": "de"})
        driver.get(url + "recount")
        wait_until(lambda: "shop-1: door" in seen("device"), "the devices are listed")
        assert english_left(driver.execute_script(TEXTS)) == {}
        assert violations(driver) == []
        driver.find_element("css selector", "[value=now]").click()
        driver.find_element("css selector", "#setup button").click()
        driver.find_element("id", "add").click()
        wait_until(lambda: seen("saved") == "Alles Getippte ist gespeichert.", "the tap is saved")
        assert re.fullmatch(r"noch 1\d:\d\d, bis \d\d:\d\d", seen("left"))
        assert english_left(driver.execute_script(TEXTS)) == {}
        begun = next(iter(read_sessions(root).values()))
        driver.find_element("id", "stop").click()
        assert driver.switch_to.alert.text == "Jetzt aufhören zu zählen?"
        wait_until(lambda: utc_now() > begun.taps[0] + timedelta(seconds=4), "the device counts the visit")
        driver.switch_to.alert.accept()
        wait_until(lambda: seen("outcome").startswith("Besuche von Hand: 1. Der Vergleich folgt"), "the count ends")
        edges = (begun.start + timedelta(seconds=2), begun.taps[0] + timedelta(seconds=3))
        spans = [(edges[0] - timedelta(minutes=5), edges[0]), edges, (edges[1], edges[1] + timedelta(minutes=1))]
        put(root, *(window(n, {"happiness": 1, "unknown": 0}, a, end=b) for n, (a, b) in enumerate(spans)))
        wait_until(lambda: seen("outcome").startswith(f"100{NBSP}% (21{NBSP}bis{NBSP}100), 1 Besuch"), "the result")
        assert english_left(driver.execute_script(TEXTS)) == {}
