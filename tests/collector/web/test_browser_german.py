"""The page in German, in a real Chromium: no text of it is left in English."""

import re
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from babel.messages.pofile import read_po
from msgspec.structs import replace

from collector.devices.registry import DeviceRegistry
from collector.language.catalogue import source_of
from collector.recount.files import write_recounts
from collector.recount.recount import Recount
from contract.topics import Address
from tests.support.brokers import free_port, wait_until
from tests.support.browser import chromium, complaints, needs_chromium, served, text, violations
from tests.support.messages import MESSAGES
from tests.support.shops import MIX, MONDAY, two_weeks
from tests.support.store import put, window

pytestmark = needs_chromium
SLOW_S = 120.0
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
return texts.map((each) => each.trim()).filter(Boolean);
"""
"""All texts of the page, closed parts and hover texts too, without names of zones and languages and the API's query.

Paths and reasons of damaged files are English."""


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
    whole = "".join(literal + (".+?" if name is not None else "") for literal, name in parts)
    return re.compile(rf"(?<!\w){whole}(?!\w)", re.DOTALL)


def translated() -> dict[str, str]:
    """German text: English text, of the messages whose texts differ."""
    pairs = {}
    for message in filter(lambda each: each.id, read_po(StringIO(source_of("de")), locale="de")):
        one: Any = message.id if isinstance(message.id, tuple) else (message.id,)
        other: Any = message.string if isinstance(message.string, tuple) else (message.string,)
        pairs |= {german: english for english, german in zip(one, other, strict=True) if english != german}
    return pairs


def opened(driver: Any, url: str) -> None:
    """Return when the whole page is drawn, the receipt too."""
    driver.get(url)
    wait_until(lambda: text(driver, "receipt-panel") and text(driver, "ranking"), "the receipt is drawn", SLOW_S)
    driver.execute_script("document.getElementById('below').scrollIntoView()")
    for name in ("trend", "shares", "heat", "comparison", "live", "devices"):
        ready = lambda name=name: len(text(driver, name if name == "devices" else f"{name}-words")) > 20  # noqa: E731
        wait_until(ready, f"{name} is drawn", SLOW_S)
    driver.execute_script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")


def test_no_english_is_left(address: str, tmp_path: Path) -> None:
    """No English text of the catalogue is on the page, in no table, hover text or name for screen readers; most German
    ones are. Numbers are written as in German. axe finds no violation.
    """
    with chromium(tmp_path) as driver:
        opened(driver, address + "?lang=de&receipt=share")
        found = driver.execute_script(TEXTS)
        texts = [re.sub(r"^date=.+: nicht enthalten: .+", "-: nicht enthalten: -", each) for each in found]
        pairs = translated()
        left = {english: each for english in pairs.values() for each in texts if pattern(english).search(each)}
        assert left == {}
        shown = {german for german in pairs if any(pattern(german).search(each) for each in texts)}
        assert len(shown) >= SHOWN, sorted(pairs.keys() - shown)
        assert {"Freude", "30.03.2026", "Mo"} <= {part for each in texts for part in re.findall(r"[\w.]+", each)}
        axis = driver.execute_script("return document.querySelector('#trend .x2tick text').textContent")
        assert "März" in axis
        assert violations(driver) == []
        assert complaints(driver) == []
