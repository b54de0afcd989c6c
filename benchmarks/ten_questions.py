"""Answer the ten questions of ``docs/manager.md`` in a real Chromium, each within two clicks, and take screenshots.

``python -m benchmarks.ten_questions --out FOLDER``

The visits of nine shops are simulated; page, store and the model's confusion matrix are the real ones. Each question is
asked on a desk and on a phone, in light and in dark mode. It fails unless the answer can be seen: inside the width of
the screen, covered by nothing, and not cut. A choice in a list counts as two clicks, because the list opens first. On
each screen axe checks the page in both languages, and the program prints the bytes of the first view and the time until
it can be used. Needs chromium and chromedriver (Debian: chromium-driver), Selenium, and the tests folder.
"""

import argparse
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.screenshots import COLOURS, NOW, ROOT, ZONE, fill

SHOPS = {
    "altstadt": (4.5, ("door", "till")), "bahnhof": (7.2, ("door",)), "flughafen": (9.0, ("door", "hall")),
    "hafen": (2.4, ("door",)), "messe": (2.4, ("door", "hall")), "nordpark": (3.3, ("door",)),
    "rathaus": (3.0, ("door",)), "stadion": (5.1, ("door",)), "universitaet-west": (6.0, ("door",)),
}  # fmt: skip
"""Visits in fifteen minutes of a quiet hour, and the devices, by site."""
WINDOW = timedelta(minutes=15)
MAX_CLICKS = 2
SLOW_S = 120.0
"""Time limit for an answer on a busy machine, seconds."""
SEEN = """
const element = document.querySelector(arguments[0]);
if (!element) return {why: 'is not there'};
let box = element.getBoundingClientRect();
const block = box.height > innerHeight ? 'start' : 'center';
if (box.top < 0 || box.bottom > innerHeight) element.scrollIntoView({block: block});
box = element.getBoundingClientRect();
const pane = element.closest('.scroll');
const at = document.elementFromPoint(box.left + box.width / 2, Math.max(box.top, 0) + 8);
const why = !(box.width > 0 && box.height > 0) ? 'is hidden'
  : box.left < 0 || box.right > innerWidth ? 'is wider than the screen'
  : [element, pane].some((each) => each && each.clientWidth && each.scrollWidth > each.clientWidth + 1) ? 'is cut'
  : !at || !(element.contains(at) || at.contains(element)) ? 'is covered' : '';
return {why: why, scrolled: Math.round(window.scrollY)};
"""
"""Scrolls to an element, and says why it cannot be seen (empty if it can), how far down it is."""
WHEN_DRAWN = """
const waiting = setInterval(() => {
  if (!document.querySelector('#ranking table') || !document.querySelector('#tile-visits')) return;
  window.drawnMs = performance.now();
  clearInterval(waiting);
}, 5);
"""


class Unanswered(AssertionError):
    """An answer that cannot be seen; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that a reader does."""

    element: str
    """CSS selector of what is clicked."""
    option: str | None = None
    """Value chosen in the list that the click opens."""

    @property
    def clicks(self) -> int:
        """How many clicks it takes."""
        return 1 if self.option is None else 2


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a regional manager, and where its answer is."""

    name: str
    """Name of its screenshots."""
    text: str
    answer: str
    """CSS selector of the answer."""
    pattern: str
    """What the answer must match."""
    steps: tuple[Step, ...] = ()

    @property
    def clicks(self) -> int:
        """How many clicks its answer takes."""
        return sum(step.clicks for step in self.steps)


def _sorted_by(key: str, direction: str) -> str:
    """Return the selector of the first row of the table of sites, if it is sorted so."""
    return f"#ranking table:has(th[aria-sort='{direction}'] [data-sort^='{key}']) tbody tr:first-child"


def _head(key: str) -> tuple[Step]:
    return (Step(f"#ranking [data-sort^='{key}']"),)


QUESTIONS = (
    Question("attention", "Does anything need me?", "#banner", "needs? attention|Nothing needs"),
    Question(
        "visits", "How many visits were there in the last seven days, and is that more than in the seven before?",
        "#tile-visits + p strong", r"^[▲▼●] [+\N{MINUS SIGN}]?[\d,.]+ %$",
    ),
    Question(
        "clear", "Is the change clear, or may it be random?", "#tile-visits + p",
        "clear change|may be random|too little",
    ),
    Question("cameras", "Were fewer visits counted only because a camera was off?", "#tile-coverage + p", r"\d %"),
    Question(
        "last-week", "How many visits were there last week, from Monday to Sunday?", "#tile-visits", r"^\d",
        (Step("#days", "lastweek"),),
    ),
    Question("fewest", "Which shop has the fewest visits?", _sorted_by("visits", "ascending"), r"\d", _head("visits")),
    Question(
        "gained", "Which shop gained most, which lost most?", _sorted_by("change", "descending"), "[▲▼●]",
        _head("change"),
    ),
    Question("happiest", "Where are visitors happiest?", _sorted_by("share", "descending"), r"\d %", _head("share")),
    Question(
        "one-shop", "How did one shop do?", "#compared-with", r"^(?!all sites)\S+: .+ compared with",
        (Step("#ranking tbody tr:first-child th a"),),
    ),
    Question(
        "found", "How was this number found, and can I trust it?", "#receipt-panel", r"windows of \d+ device",
        (Step("[data-receipt='visits']"),),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Screen:
    """A size of the browser window, pixels, and whether it is dark."""

    name: str
    width: int
    height: int
    dark: bool


SCREENS = tuple(
    Screen(f"{name}-{'dark' if dark else 'light'}", width, height, dark)
    for name, width, height in (("desk", 1280, 900), ("phone", 390, 844))
    for dark in (False, True)
)


def opened(driver: Any, url: str) -> None:
    """Open the page, and return when the first screen is drawn."""
    driver.get(url)
    _until(
        driver, lambda: _text(driver, "#tile-visits") and _text(driver, "#ranking") and _text(driver, "#banner"), url
    )


def ask(driver: Any, question: Question) -> int:
    """Do the steps of a question on an opened page, and return how far down the page the reader is then, pixels.

    Raises Unanswered.
    """
    if question.clicks > MAX_CLICKS:
        raise Unanswered(f"{question.text} must be answered in {MAX_CLICKS} clicks, takes {question.clicks}")
    before = _shown(driver)
    for step in question.steps:
        _do(driver, step)
    if question.steps:
        _until(driver, lambda: _shown(driver) != before, question.text)
    _until(driver, lambda: re.search(question.pattern, _text(driver, question.answer)), question.text)
    return _see(driver, question.answer, question.text)


def _see(driver: Any, selector: str, what: str) -> int:
    """Scroll to an element, and return how far down it is. Raises Unanswered if it cannot be seen."""
    seen = driver.execute_script(SEEN, selector)
    if seen["why"]:
        raise Unanswered(f"{what} {selector} {seen['why']}")
    return int(seen["scrolled"])


def _do(driver: Any, step: Step) -> None:
    from tests.support.browser import choose, click  # noqa: PLC0415 - part of the tests

    if step.option is None:
        click(driver, step.element)
    else:
        choose(driver, step.element.removeprefix("#"), step.option)


def _shown(driver: Any) -> tuple[str, ...]:
    return tuple(_text(driver, each) for each in ("#figures", "#ranking", "#receipt-panel"))


def _text(driver: Any, selector: str) -> str:
    """Return the visible text of an element; empty if there is none."""
    found = driver.execute_script("return (document.querySelector(arguments[0]) || {}).innerText || ''", selector)
    return str(found).replace("\N{NO-BREAK SPACE}", " ")


def _until(driver: Any, is_done: Any, what: str) -> None:
    """Wait for a condition. Raises Unanswered with what the page shows."""
    end = time.monotonic() + SLOW_S
    while not is_done():
        if time.monotonic() > end:
            raise Unanswered(f"{what} No answer after {SLOW_S:.0f} s; the page shows {_shown(driver)}")
        time.sleep(0.05)


def save(driver: Any, out: Path) -> None:
    """Write a screenshot, with a palette to keep the file small."""
    image = Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    image.quantize(COLOURS).save(out, optimize=True)


def run(url: str, screen: Screen, out: Path) -> None:
    """Ask all questions on a screen, write a screenshot of each answer, and print the measurements."""
    from tests.support.browser import chromium, sent_bytes, violations  # noqa: PLC0415 - part of the tests

    with (
        tempfile.TemporaryDirectory() as folder,
        chromium(Path(folder), screen.width, screen.height, screen.dark) as driver,
    ):
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WHEN_DRAWN})
        opened(driver, url)
        drawn_s, size = driver.execute_script("return window.drawnMs") / 1000, sent_bytes(driver)
        print(f"{screen.name}: first view {size / 1e3:.0f} kB over the wire, can be used after {drawn_s:.2f} s")
        for number, question in enumerate(QUESTIONS, 1):
            if question.steps:
                opened(driver, url)
            scrolled = ask(driver, question)
            save(driver, out / f"{number:02}-{question.name}-{screen.name}.png")
            print(f"  {number:2}. {question.clicks} clicks, {scrolled:5} pixels down: {question.text}")
        for language in ("de", "en"):
            opened(driver, f"{url}?lang={language}&receipt=share")
            _until(driver, lambda: _text(driver, "#receipt-panel"), "The receipt is drawn.")
            found = violations(driver)
            if found:
                raise Unanswered(f"axe finds violations in {language}: {found}")
            for part in ("#figures", "#ranking table", "#receipt-panel"):
                _see(driver, part, language)
            save(driver, out / f"page-{language}-{screen.name}.png")
            print(f"  {language}: nothing is cut, and axe finds no violation")


def main() -> None:
    """Fill a store, serve it, and ask."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ten_questions", description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the screenshots")
    parser.add_argument("--days", type=int, default=365, help="days of windows (default: %(default)s)")
    parser.add_argument("--screen", choices=[each.name for each in SCREENS], help="only this screen")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(ROOT))
    from tests.support.brokers import free_port  # noqa: PLC0415 - part of the tests
    from tests.support.browser import served  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), np.random.default_rng(1), SHOPS, arguments.days, WINDOW)
        with served(Path(folder), free_port(), str(ZONE), lambda: NOW) as url:
            for screen in SCREENS:
                if arguments.screen in (None, screen.name):
                    run(url, screen, arguments.out)


if __name__ == "__main__":
    main()
