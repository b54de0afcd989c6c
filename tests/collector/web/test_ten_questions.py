"""The first screen answers the ten questions of docs/manager.md within two clicks each, in a real Chromium."""

from pathlib import Path
from typing import Any

from benchmarks.ten_questions import MAX_CLICKS, QUESTIONS, ask, opened
from tests.support.brokers import free_port
from tests.support.browser import chromium, needs_chromium, served
from tests.support.shops import MONDAY, two_weeks

GUIDE = Path(__file__).parents[3] / "docs" / "manager.md"


def test_the_guide_lists_the_questions() -> None:
    """In this order, each with the number of clicks that the browser makes."""
    rows = [line for line in GUIDE.read_text().splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert len(rows) == len(QUESTIONS) == 10
    for number, (row, question) in enumerate(zip(rows, QUESTIONS, strict=True), 1):
        assert row.startswith(f"| {number}. {question.text} |") and row.endswith(f" | {question.clicks} |")
        assert question.clicks <= MAX_CLICKS


@needs_chromium
def test_each_answer_can_be_seen(tmp_path: Path) -> None:
    """On a phone in dark mode each answer is there after its clicks, inside the screen, covered by nothing, not cut."""
    root = two_weeks(tmp_path / "store")
    screen: Any = {"width": 390, "height": 844, "dark": True}
    with served(root, free_port(), "Europe/Berlin", lambda: MONDAY) as url, chromium(tmp_path, **screen) as driver:
        opened(driver, url)
        for question in QUESTIONS:
            if question.steps:
                opened(driver, url)
            ask(driver, question)
