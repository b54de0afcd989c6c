"""The page explains itself and needs nothing from the internet; its server starts and stops."""

import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from collector.language.language import english
from collector.page.app import make_page
from collector.page.sections.sections import sections
from collector.reading.reader import Reader
from tests.support.brokers import free_port, wait_until
from tests.support.pages import BERLIN, NOW, text_of, two_shops


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return two_shops(tmp_path)


def page(root: Path) -> Any:
    return make_page(Reader(root, lambda: NOW), BERLIN, lambda: NOW).server.test_client()


def text_at(root: Path, path: str) -> str:
    with page(root).get(path) as answer:
        assert answer.status_code == 200, path
        return str(answer.get_data(as_text=True))


def test_the_page_loads_nothing_from_elsewhere(store: Path) -> None:
    """The HTML names no other host, and every script and style sheet comes from the installed package."""
    html = page(store).get("/").get_data(as_text=True)
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', html)
    named = re.findall(r'<script src="([^"]+)"', html) + re.findall(r'rel="stylesheet" href="([^"]+)"', html)
    assert len(named) > 3
    texts = {path: text_at(store, path) for path in named}
    assert "" not in texts.values()
    assert 'lang="en"' in html
    sheet = next(path for path in named if "page.css" in path)
    assert "color-scheme: light dark" in texts[sheet]


def test_the_page_explains_its_uncertainty(store: Path) -> None:
    """The page explains apparent expression, intervals, and that a visit is not a person."""
    layout = page(store).get("/_dash-layout").get_data(as_text=True)
    assert "apparent expression" in layout
    assert '"shop-2"' in layout
    below = text_of(sections(english()))
    assert "about ninety of a hundred such intervals contain the true share" in below
    assert "A visit is not a person" in below


@pytest.mark.parametrize(
    ("configured", "browser", "chosen", "period"),
    [
        (None, "de-DE,de;q=0.9", None, "Zeitraum"),
        (None, "fr", None, "Period"),
        ("de", "en", None, "Zeitraum"),
        ("de", "de", "en", "Period"),
        (None, "de", "../x", "Zeitraum"),
    ],
)
def test_the_page_has_the_chosen_language(
    store: Path, configured: str | None, browser: str, chosen: str | None, period: str
) -> None:
    """The reader's choice goes before the configured language, and that before the browser's."""
    client = make_page(Reader(store, lambda: NOW), BERLIN, lambda: NOW, configured).server.test_client()
    if chosen:
        client.set_cookie("lang", chosen)
    answer = client.get("/_dash-layout", headers={"Accept-Language": browser}).get_data(as_text=True)
    assert f'"{period}"' in answer
    assert ('"Deutsch"' in answer) and ('"English"' in answer)


def test_healthz(store: Path, tmp_path: Path) -> None:
    """Status 200 while the store exists, 503 otherwise."""
    good = page(store).get("/healthz")
    assert (good.status_code, good.get_json()) == (200, {"status": "ok", "devices": 2})
    assert page(tmp_path / "none").get("/healthz").status_code == 503


def test_serve_runs_until_sigterm(store: Path) -> None:
    """By default `serve` listens on loopback only; SIGTERM ends it with exit status 0."""
    port = free_port()
    command = [sys.executable, "-W", "error", "-m", "collector", "serve", "--root", str(store)]
    with subprocess.Popen([*command, "--set", f"page.port={port}"], stderr=subprocess.PIPE, text=True) as served:
        assert served.stderr is not None
        try:
            assert f"url=http://127.0.0.1:{port}/" in served.stderr.readline()

            def answers() -> bool:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                        return bool(answer.status == 200)
                except OSError:
                    return False

            wait_until(answers, "the page answers")
        finally:
            served.terminate()
        assert served.wait(10) == 0
        assert served.stderr.read() == ""
