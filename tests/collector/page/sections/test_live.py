"""The live figure shows the last hour of the store, with its gaps."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from collector.page.sections.views import Chart
from tests.support.pages import CONTROLS, NOW, line_of, two_shops, view
from tests.support.store import put, window


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return two_shops(tmp_path)


def live(root: Path, now: datetime = NOW, **controls: object) -> Chart:
    return view(root, now).live(CONTROLS | controls)[0]


def test_the_live_line_breaks_at_gaps(store: Path) -> None:
    """There is a point per minute for both sites, NaN in the missing minutes; selecting a site shows its own visits."""
    shown, clock = view(store).live(CONTROLS)
    points = line_of(shown.figure, "happiness")
    assert points[:18] == [4.0] * 18
    assert points.count(None) == 10
    assert shown.figure.data[0].connectgaps is False
    assert line_of(live(store, sites=["shop-2"]).figure, "happiness")[0] == 1.0
    assert clock == "As of 03:00:00 Europe/Berlin"
    assert "1 gap without data" in shown.description


def test_the_live_line_follows_the_store(store: Path) -> None:
    """A window that arrives is in the next figure without a restart, and `fresh` changes only then."""
    later = NOW + timedelta(minutes=2)
    before, stamp = len(line_of(live(store, later, sites=["shop-1"]).figure, "happiness")), view(store, later).fresh()
    assert view(store, later).fresh() == stamp
    put(store, window(61), window(62), window(63))
    assert view(store, later).fresh() != stamp
    figure = live(store, later, sites=["shop-1"]).figure
    assert len(line_of(figure, "happiness")) == before
    assert line_of(figure, "happiness")[-1] == 3.0


def test_the_first_window_is_shown_whole_across_a_quarter_of_an_hour(tmp_path: Path) -> None:
    """A page opened minutes later shows all visits of the window, not only the part before the quarter."""
    put(tmp_path, window(start=NOW - timedelta(minutes=15, seconds=30)))
    assert live(tmp_path, NOW - timedelta(minutes=4)).description.startswith("3 visits")


def test_a_window_held_back_for_hours_is_shown(tmp_path: Path) -> None:
    """A window that began before the last hour and ended in it is shown with its start; an hour later it is not."""
    put(tmp_path, window(start=NOW - timedelta(hours=3), end=NOW - timedelta(minutes=5), merged=175))
    assert live(tmp_path).description.startswith("3 visits")
    assert "counts since 23:00" in live(tmp_path).description, "22:00 UTC"
    assert live(tmp_path, NOW + timedelta(hours=1)).description == "No data has arrived for the last hour."
