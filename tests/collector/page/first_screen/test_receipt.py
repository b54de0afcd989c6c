"""A receipt tells how a figure was found, and its query gives the same figure from the HTTP API."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from collector.api.guard import Guard
from collector.api.routes import Api, mount
from collector.devices.registry import DeviceRegistry
from collector.page.first_screen import first_screen
from collector.page.first_screen.first_screen import FirstScreen
from collector.reading.reader import Reader
from contract.message import Privacy
from contract.topics import Address
from tests.support.device_models import model
from tests.support.pages import CONTROLS, NOW, text_of
from tests.support.store import SEVEN, put, window

MIX = dict.fromkeys(SEVEN, 0) | {"happiness": 3, "neutral": 9, "sadness": 2, "unknown": 3}
MOOD = {"positive": 9, "negative": 3, "unknown": 0}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of three shops; some windows joined, doubtful, of an unset clock, or of other labels."""
    root = tmp_path_factory.mktemp("store")
    for number, site in enumerate(("shop-1", "shop-2", "shop-3")):
        starts = [NOW - timedelta(minutes=20 * n) for n in range(1, 150 - 20 * number)]
        put(
            root,
            *(window(n, MIX, start, site=site, end=start + timedelta(minutes=20)) for n, start in enumerate(starts)),
        )
    put(
        root,
        window(500, MIX, NOW - timedelta(hours=9), end=NOW - timedelta(hours=8), merged=60, privacy=Privacy(k=5)),
        window(501, MIX, NOW - timedelta(hours=4), schema=2, doubtful_low=2, doubtful_high=1, boot="e" * 16),
        window(502, MIX, NOW - timedelta(hours=3), clock="unsynced", boot="d" * 16),
        window(503, MOOD, NOW - timedelta(hours=3), device="till"),
    )
    devices = DeviceRegistry(root)
    for site in ("shop-1", "shop-2", "shop-3"):
        devices.record(Address(site, "door", "model"), model(), False, NOW)
    devices.save()
    return root


def panel(root: Path, **controls: Any) -> Any:
    return FirstScreen(Reader(root, lambda: NOW), lambda: NOW).receipt(CONTROLS | controls)


def query_of(component: Any) -> str:
    """The address of the API in a receipt."""
    if getattr(component, "id", None) == "receipt-query":
        return str(component.href)
    children = getattr(component, "children", component)
    parts = children if isinstance(children, (list, tuple)) else [children] if hasattr(children, "children") else []
    return next(filter(None, (query_of(part) for part in parts)), "")


def answer(root: Path, path: str) -> Any:
    app = Flask("test")
    mount(app, Api(Reader(root, lambda: NOW), ZoneInfo("UTC"), lambda: NOW), Guard(None, 10_000))
    found = app.test_client().get(path)
    assert found.status_code == 200, found.text
    return json.loads(found.data)["rows"]


@pytest.mark.parametrize(
    ("sites", "choice"),
    [
        ([], {"days": "1"}),
        ([], {"days": "7"}),
        (["shop-2"], {"days": "yesterday", "zone": "Asia/Kolkata"}),
        (["shop-1", "shop-3"], {"days": "7"}),
    ],
)
def test_the_query_gives_the_same_figure(store: Path, sites: list[str], choice: dict[str, str]) -> None:
    """Visits, share with interval, unknown and coverage of the tiles are those of the API's answer."""
    screen = FirstScreen(Reader(store, lambda: NOW), lambda: NOW)
    tiles = text_of(screen.figures(CONTROLS | {"sites": sites} | choice).tiles)
    (total,) = answer(store, query_of(panel(store, sites=sites, receipt="visits", **choice)))
    assert f"Visits {total['visits']:,.0f}" in re.sub(r"\s+", " ", tiles)
    rows = {row["label"]: row for row in answer(store, query_of(panel(store, sites=sites, receipt="share", **choice)))}
    happy = rows["happiness"]
    share = f"{happy['corrected']:.0%} {happy['low']:.0%} to {happy['high']:.0%}".replace("%", " %")
    assert share.replace(" % to", " to") in re.sub(r"\s+", " ", tiles)
    rows = {
        row["label"]: row for row in answer(store, query_of(panel(store, sites=sites, receipt="unknown", **choice)))
    }
    fraction = rows["unknown"]["visits"] / sum(row["visits"] for row in rows.values())
    assert f"(unknown) {fraction:.0%}".replace("%", " %") in re.sub(r"\s+", " ", tiles)
    (total,) = answer(store, query_of(panel(store, sites=sites, receipt="coverage", **choice)))
    assert f"(coverage) {total['coverage']:.0%}".replace("%", " %") in re.sub(r"\s+", " ", tiles)


def test_the_receipt_tells_what_may_be_missing(store: Path) -> None:
    """Joined windows, doubtful visits, visits without a time, other labels, the matrix, and the gaps."""
    text = text_of(panel(store, receipt="share", days="1", sites=["shop-1"]))
    assert (
        "1 of " in text and "rows join several windows, up to 60 min, because they had fewer than k = 5 visits" in text
    )
    assert "2 may be no visit of their own, 1 may be two" in text
    assert "17 visits of devices whose clock was never set" in text
    assert "Not included, because other labels have no common total: positive, negative (12 visits)" in text
    assert "seven@ba9876543210" in text and "confusion matrix measured on 4,200 faces" in text
    assert re.search(r"no window arrived for \d+ of them \(gaps\)", text)
    assert "Saerens" in text
    long = text_of(panel(store, receipt="visits", days="365"))
    assert "not listed for more than 31 days" in long
    assert panel(store, receipt="") is None


@pytest.mark.parametrize("days", ["1", "365"])
@pytest.mark.parametrize(
    ("lang", "texts", "untrue"),
    [
        ("en", ("gaps are not counted in so many, choose sites", "not listed for so many device hours"), "31 days"),
        ("de", ("Lücken werden in so vielen nicht gezählt", "für so viele Gerätestunden nicht aufgeführt"), "31 Tage"),
    ],
)
def test_a_fleet_too_large_to_count_gaps_is_told_what_helps(
    store: Path, monkeypatch: pytest.MonkeyPatch, days: str, lang: str, texts: tuple[str, ...], untrue: str
) -> None:
    """No shorter period helps a fleet that is too large for a month; one site does."""
    monkeypatch.setattr(first_screen, "MAX_COUNTED_HOURS", 1000)
    text = text_of(panel(store, receipt="visits", days=days, lang=lang))
    assert all(each in text for each in texts)
    assert untrue not in text and "shorter period" not in text and "kürzeren Zeitraum" not in text
    assert not any(each in text_of(panel(store, receipt="visits", lang=lang, sites=["shop-1"])) for each in texts)
