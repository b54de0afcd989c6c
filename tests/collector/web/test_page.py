"""The page shows what is in the store, live and over time, and needs nothing from the internet."""

import math
import re
import subprocess
import sys
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from collector.analysis.query import MOST_DRAWN, Reader
from collector.analysis.summarise import by_time
from collector.devices.registry import Device, Devices
from collector.devices.state import shown_state
from collector.page.app import make_page
from collector.page.figures import trend
from collector.page.views import Shown, View
from collector.store.load import load
from contract.message import Health, Status
from contract.topics import Address
from tests.support.brokers import free_port, wait_until
from tests.support.device_models import model
from tests.support.store import SEVEN, put, window

NOW = datetime(2026, 3, 29, 1, 0, tzinfo=timezone.utc)
BERLIN = ZoneInfo("Europe/Berlin")
BOOT = "0" * 16
ASKED = {"site": "*", "days": "1", "by": "hour", "zone": "Europe/Berlin"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An hour of two sites, with ten minutes missing, and two devices that are known."""
    for site, visits in (("shop-1", 3), ("shop-2", 1)):
        counts = dict.fromkeys(SEVEN, 0) | {"happiness": visits}
        put(tmp_path, *(window(n, counts, site=site) for n in range(1, 61) if not 20 <= n < 30))
    devices = Devices(tmp_path)
    for site in ("shop-1", "shop-2"):
        devices.note(Address(site, "door", "status"), Status(schema=1, state="online", boot=BOOT), False, NOW)
        devices.note(Address(site, "door", "model"), model(), False, NOW)
    devices.save()
    return tmp_path


def view(root: Path, now: datetime = NOW) -> View:
    return View(Reader(root, lambda: now), lambda: now)


def line_of(figure: Any, name: str) -> list[float | None]:
    (trace,) = [trace for trace in figure.data if trace.name == name]
    return [None if math.isnan(value) else float(value) for value in trace.y]


def text_of(component: Any) -> str:
    """All the text in a tree of Dash components."""
    if isinstance(component, (list, tuple)):
        return " ".join(text_of(part) for part in component)
    return text_of(component.children) if hasattr(component, "children") else str(component or "")


def live(root: Path, now: datetime = NOW, **asked: str) -> Shown:
    return view(root, now).live(ASKED | asked)[0]


def test_the_live_line_breaks_where_no_window_came(store: Path) -> None:
    """A point a minute, of both sites together, NaN where ten minutes are missing; a choice of site halves it."""
    shown, clock = view(store).live(ASKED)
    points = line_of(shown.figure, "happiness")
    assert points[:18] == [4.0] * 18
    assert points.count(None) == 10
    assert shown.figure.data[0].connectgaps is False
    assert line_of(live(store, site="shop-2").figure, "happiness")[0] == 1.0
    assert clock == "As of 03:00:00 Europe/Berlin"
    assert "1 gap without data" in shown.words


def test_the_live_line_follows_the_store(store: Path) -> None:
    """A window that arrives is in the next figure, without a restart, and only then is there anything to draw."""
    later = NOW + timedelta(minutes=2)
    before, stamp = len(line_of(live(store, later, site="shop-1").figure, "happiness")), view(store, later).fresh()
    assert view(store, later).fresh() == stamp
    put(store, window(61), window(62), window(63))
    assert view(store, later).fresh() != stamp
    figure = live(store, later, site="shop-1").figure
    assert len(line_of(figure, "happiness")) == before
    assert line_of(figure, "happiness")[-1] == 3.0


def test_the_first_window_is_shown_whole_though_a_quarter_of_an_hour_begins_within_it(tmp_path: Path) -> None:
    """A page opened minutes after it shows all its visits, not those of the part before the quarter."""
    put(tmp_path, window(start=NOW - timedelta(minutes=15, seconds=30)))
    assert live(tmp_path, NOW - timedelta(minutes=4)).words.startswith("3 visits")


def test_a_window_that_was_held_back_for_hours_is_not_said_to_be_missing(tmp_path: Path) -> None:
    """It began before the hour and ended in it: it is shown, and when it began; an hour after its end none has come."""
    put(tmp_path, window(start=NOW - timedelta(hours=3), end=NOW - timedelta(minutes=5), merged=175))
    assert live(tmp_path).words.startswith("3 visits")
    assert "in windows from 23:00 on" in live(tmp_path).words, "22:00 UTC"
    assert live(tmp_path, NOW + timedelta(hours=1)).words == "No window of the last day ended in the last hour."


def test_trends_have_the_hours_of_the_zone_and_their_totals(store: Path) -> None:
    """The 24 hours up to 03:00 local on the day that has no 02:00 begin at 02:00 of the day before."""
    shown = view(store).overview(ASKED, "visits")
    (bars,) = [trace for trace in shown.trend.figure.data if trace.name == "happiness"]
    hours = [datetime.fromisoformat(str(x)[:19]).hour for x in bars.x]
    assert hours == [*range(2, 24), 0, 1]
    assert sum(value for value in line_of(shown.trend.figure, "happiness") if value) == pytest.approx(200)
    assert re.search(r"happiness 200 \d+ % \(\d+ to \d+\)", text_of(shown.totals))
    assert "all 200" in text_of(shown.totals)
    assert "shop-1 1 of 1 150" in text_of(shown.sites)


def test_doubtful_visits_are_shown_as_a_range(store: Path) -> None:
    """In words, totals and tables, where there are doubts; elsewhere the number stands alone."""
    shown = view(store).overview(ASKED, "visits")
    assert shown.trend.words.startswith("200 visits, most often")
    put(store, window(59, site="shop-1", boot="f" * 16, schema=2, doubtful_low=2, doubtful_high=1))
    shown = view(store).overview(ASKED, "visits")
    assert shown.trend.words.startswith("203 visits (201 to 204), most often happiness")
    assert "all 203 (201 to 204)" in text_of(shown.totals)
    assert "shop-1 1 of 1 153 (151 to 154)" in text_of(shown.sites)
    assert "shop-2 1 of 1 50 " in text_of(shown.sites)
    assert "203 (201 to 204)" in text_of(shown.trend.table)


def test_totals_hold_windows_without_a_time_too(tmp_path: Path) -> None:
    """Their visits, those without a verdict among them, are in the totals as in the table of sites beside; where there
    are no others, nothing is drawn over time and the totals stay.
    """
    kinds = dict.fromkeys(SEVEN, 0)
    put(tmp_path, window(2, kinds | {"happiness": 7, "unknown": 4}, clock="unsynced"))
    shown = view(tmp_path).overview(ASKED, "visits")
    assert "unknown 4 all 11" in " ".join(text_of(shown.totals).split())
    assert "No visit whose time is known" in shown.shares.words
    put(tmp_path, window(1, kinds | {"happiness": 5, "unknown": 3}))
    shown = view(tmp_path).overview(ASKED, "visits")
    assert "unknown 7 all 19" in " ".join(text_of(shown.totals).split())
    assert "shop-1" in text_of(shown.sites) and " 19" in text_of(shown.sites)


def test_a_year_in_which_the_labels_changed_is_shown(tmp_path: Path) -> None:
    """Two months with one bundle, then two with another: each month has a cell for each label, empty where that month's
    devices had no such label.
    """
    young = {"young": 3, "old": 1, "unknown": 0}
    for month in range(4):
        put(tmp_path, window(month, young if month > 1 else None, start=NOW - timedelta(days=30 * (4 - month))))
    shown = view(tmp_path).overview(ASKED | {"days": "365", "by": "day"}, "visits").shares
    table = text_of(shown.table)
    assert "happiness" in table and "young" in table
    assert line_of(shown.figure, "young")[:2] == [None, None]


def test_of_many_labels_the_most_frequent_are_drawn(tmp_path: Path) -> None:
    """Eight label sets of thirty: the chart has as many labels as one model may, among them those counted
    most often; the file has all.
    """
    sets = [{f"l{number}_{at}": 1 for at in range(30)} | {"unknown": 0} for number in range(8)]
    put(tmp_path, *(window(number, visits) for number, visits in enumerate(sets, 1)), window(9))
    shown = view(tmp_path).overview(ASKED, "visits")
    bars = [trace.name for trace in shown.trend.figure.data if trace.name not in ("watched well", "watched badly")]
    assert len(bars) == MOST_DRAWN
    assert "happiness" in bars
    assert "243 visits" in shown.trend.words
    assert len(view(tmp_path).download(ASKED, "csv")[1].splitlines()[0].split(b",")) > 240


@pytest.mark.parametrize("kind", ["csv", "xlsx", "parquet"])
@pytest.mark.parametrize("days", ["1", "365"])
def test_a_range_without_windows_can_be_downloaded(tmp_path: Path, kind: str, days: str) -> None:
    """Of a shop that was closed, and of a store that is empty: gaps, and no error."""
    for _ in range(2):
        name, content = view(tmp_path).download(ASKED | {"days": days, "by": "day"}, kind)
        assert name.endswith(kind) and content
        put(tmp_path, window(start=NOW - timedelta(days=400)))


def test_bars_of_an_hour_that_comes_twice_stand_beside_each_other(tmp_path: Path) -> None:
    """The night in which clocks go back: 02:00 to 03:00 passes twice, at half the width each, and nothing is stacked;
    in the night in which they go forward no bar lies over the hour that is left out.
    """
    autumn = datetime(2026, 10, 24, 22, tzinfo=timezone.utc)
    put(
        tmp_path, *(window(n, start=autumn + timedelta(hours=n), end=autumn + timedelta(hours=n + 1)) for n in range(6))
    )
    for by, width in (("hour", 1.0), ("10 minutes", 1 / 6)):
        table = by_time(load(tmp_path), round(width * 3600), BERLIN)
        (bars,) = [trace for trace in trend(table, by).data if trace.name == "happiness"]
        starts = [datetime.fromisoformat(str(x)[:19]) for x in bars.x]
        ends = [start + timedelta(milliseconds=float(ms)) for start, ms in zip(starts, bars.width, strict=True)]
        assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
        night = [float(ms) / 3_600_000 for start, ms in zip(starts, bars.width, strict=True) if start.hour == 2]
        assert night == pytest.approx([width / 2] * round(2 / width))
    spring = datetime(2026, 3, 29, 0, tzinfo=timezone.utc)
    put(
        tmp_path / "b",
        *(window(n, start=spring + timedelta(hours=n), end=spring + timedelta(hours=n + 1)) for n in (0, 1)),
    )
    (bars,) = [
        trace for trace in trend(by_time(load(tmp_path / "b"), 3600, BERLIN), "hour").data if trace.name == "happiness"
    ]
    assert [str(x)[11:16] for x in bars.x] == ["01:00", "03:00"]
    assert list(bars.width) == [3_600_000] * 2


def test_the_table_beside_a_chart_says_what_the_chart_says(store: Path) -> None:
    """The hour with 200 visits, and hours in which nobody watched, which is no zero."""
    table = text_of(view(store).overview(ASKED, "visits").trend.table)
    assert "2026-03-29 01:00" in table
    assert re.search(r"2026-03-29 00:00\s+no data", table)
    assert re.search(r"2026-03-29 01:00 .*200 82 % 0 %", table)


def test_the_heat_map_has_visits_of_each_watched_hour(store: Path) -> None:
    """200 visits of happiness in the 1.64 hours that two cameras watched, on the Sunday at 1; all else is unknown."""
    heat = view(store).overview(ASKED, "happiness").heat
    cells = np.asarray(heat.figure.data[0].z, float)
    assert cells.shape == (7, 24)
    assert cells[6, 1] == pytest.approx(200 / (2 * 0.983 * 50 / 60), rel=1e-3)
    assert np.isnan(cells).sum() == 7 * 24 - 1
    assert "Sunday from 01:00" in heat.words


def test_shares_have_their_intervals(store: Path) -> None:
    """Corrected, between low and high, in the chart and in the table; without a matrix it says so."""
    shown = view(store).overview(ASKED, "visits").shares
    best = [value for value in line_of(shown.figure, "happiness") if value is not None]
    assert best == [pytest.approx(1.0, abs=0.02)]
    assert re.search(r"\d+ % \(\d+ to \d+\)", text_of(shown.table))
    assert "90 % intervals" in shown.words
    (store / "devices.json").unlink()
    unknown = view(store).overview(ASKED, "visits").shares
    assert "200 visits are of models whose confusions are unknown" in unknown.words
    assert "not corrected" in text_of(unknown.table)


def test_two_sites_are_compared(store: Path) -> None:
    """The same mix shows no clear change; another mix does, and the words name it."""
    same = view(store).compared(ASKED | {"site": "shop-1"}, "site", "shop-2")
    assert "No clear change in any share between shop-2 and shop-1" in same.words
    sad = dict.fromkeys(SEVEN, 0) | {"sadness": 3}
    put(store, *(window(n, sad, site="shop-3") for n in range(1, 61)))
    devices = Devices(store)
    devices.note(Address("shop-3", "door", "model"), model(), False, NOW)
    devices.save()
    other = view(store).compared(ASKED | {"site": "shop-3"}, "site", "shop-1")
    assert other.words == "In shop-3, beside shop-1: less happiness, more sadness; no clear change in the others."
    assert "no clear change" in text_of(other.table)


def test_an_empty_or_broken_store_says_so(tmp_path: Path, store: Path) -> None:
    """Without a window there are words in place of a figure. A file that is not ours is left out and named."""
    (tmp_path / "none").mkdir()
    assert "No window of the last day" in live(tmp_path / "none").figure.layout.annotations[0].text
    assert "No data" in view(tmp_path / "none").overview(ASKED, "visits").trend.words
    assert "No data" in view(tmp_path / "none").compared(ASKED, "before", "*").words
    next(store.glob("date=2026-03-29/site=shop-1/*.csv")).write_text("a,b\n1,2\n")
    shown = view(store)
    assert shown.overview(ASKED, "visits").trend.words.startswith("50 visits"), "those of the other shop"
    assert "first columns" in text_of(shown.notices())
    assert "shop-1/counts-" in text_of(shown.notices())


def test_devices_are_listed_with_state_and_last_word(store: Path) -> None:
    """Both at first; of the site chosen only; silent when nothing has been heard for long."""
    assert text_of(view(store).device_table(ASKED)).count("● online") == 2
    later = text_of(view(store, NOW + timedelta(minutes=9)).device_table(ASKED | {"site": "shop-2"}))
    assert "shop-2 door ● silent 9 min ago" in later
    assert "shop-1" not in later


@pytest.mark.parametrize(
    ("state", "minutes", "shown"),
    [("online", 1, "online"), ("online", 6, "silent"), ("offline", 1, "offline"), ("stopping", 99, "stopping")],
)
def test_a_device_that_says_nothing_is_silent(state: str, minutes: int, shown: str) -> None:
    device = Device(site="a", device="b", state=state, seen=NOW - timedelta(minutes=minutes))  # type: ignore[arg-type]
    assert shown_state(device, NOW) == shown


def test_health_of_a_device_is_in_its_row(store: Path) -> None:
    devices = Devices(store)
    health = Health(
        schema=1, boot=BOOT, time=NOW, uptime_s=1, frames_per_s=14.26, latency_ms={}, frames_dropped=0, spool_depth=12,
        spool_dropped=0, oldest_unsent=None, memory_mb=90, temperature_c=61.4, throttled=False, clock="synced",
        versions={},
    )  # fmt: skip
    devices.note(Address("shop-1", "door", "health"), health, False, NOW)
    devices.save()
    assert "14.3 61 12 10" in text_of(view(store).device_table(ASKED | {"site": "shop-1"}))


def page(root: Path) -> Any:
    return make_page(Reader(root, lambda: NOW), BERLIN, lambda: NOW).server.test_client()


def text_at(root: Path, path: str) -> str:
    with page(root).get(path) as answer:
        assert answer.status_code == 200, path
        return str(answer.get_data(as_text=True))


def test_the_page_loads_nothing_from_elsewhere(store: Path) -> None:
    """Its HTML names no other host, and every script and sheet it names is answered from the installed package."""
    html = page(store).get("/").get_data(as_text=True)
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', html)
    named = re.findall(r'<script src="([^"]+)"', html) + re.findall(r'rel="stylesheet" href="([^"]+)"', html)
    assert len(named) > 3
    texts = {path: text_at(store, path) for path in named}
    assert "" not in texts.values()
    assert 'lang="en"' in html
    sheet = next(path for path in named if "page.css" in path)
    assert "color-scheme: light dark" in texts[sheet]


def test_the_page_says_what_it_does_not_know(store: Path) -> None:
    """Apparent expression, uncertainty, and that a track is not a person."""
    layout = page(store).get("/_dash-layout").get_data(as_text=True)
    assert "apparent expression" in layout
    assert "some ninety hold the true share" in layout
    assert "Somebody who looks twice is two visits" in layout
    assert '"shop-2"' in layout


def test_healthz(store: Path, tmp_path: Path) -> None:
    """200 while the store is there, 503 when it is not."""
    good = page(store).get("/healthz")
    assert (good.status_code, good.get_json()) == (200, {"status": "ok", "devices": 2})
    assert page(tmp_path / "none").get("/healthz").status_code == 503


def test_the_command_serves_until_it_is_told_to_stop(store: Path) -> None:
    """`serve` listens on loopback only by itself, answers, and SIGTERM ends it with 0."""
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


def test_two_units_of_one_name_are_said(store: Path) -> None:
    """The list says how many windows have not come, and that boots alternate."""
    assert re.search(r"shop-2 door .* 10 $", text_of(view(store).device_table(ASKED | {"site": "shop-2"})))
    put(store, *(window(100 + n, start=window(n).start, site="shop-2", boot="f" * 16) for n in range(1, 20)))
    assert "two units have this name" in text_of(view(store).device_table(ASKED | {"site": "shop-2"}))
