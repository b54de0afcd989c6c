"""Trend, totals, shares, heat map and comparison over the chosen days, and their tables and files."""

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from collector.analysis.summarise import by_time
from collector.devices.registry import DeviceRegistry
from collector.language.language import english
from collector.page.sections.figures import ALL_VISITS, CLEAR_VIEW, POOR_VIEW, trend_figure
from collector.store.load import load
from contract.labels import labelset
from contract.topics import Address
from tests.support.device_models import model
from tests.support.pages import BERLIN, CONTROLS, NOW, line_of, text_of, two_shops, view
from tests.support.store import SEVEN, put, window

OTHER_TRACES = (ALL_VISITS, CLEAR_VIEW, POOR_VIEW)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return two_shops(tmp_path)


def test_the_trend_has_the_hours_of_the_zone_and_their_totals(store: Path) -> None:
    """The 24 hours up to 03:00 local time, on the day without 02:00, begin at 02:00 of the day before."""
    shown = view(store).overview(CONTROLS)
    (bars,) = [trace for trace in shown.trend.figure.data if trace.name == "happiness"]
    hours = [datetime.fromisoformat(str(x)[:19]).hour for x in bars.x]
    assert hours == [*range(2, 24), 0, 1]
    assert sum(value for value in line_of(shown.trend.figure, "happiness") if value) == pytest.approx(200)
    assert re.search(r"happiness 200 \d+ % \(\d+ to \d+\)", text_of(shown.totals))
    assert "all 200" in text_of(shown.totals)


def test_doubtful_visits_are_shown_as_a_range(store: Path) -> None:
    """Description, totals, tables and hovers show the range where visits are doubtful, else the number alone."""
    shown = view(store).overview(CONTROLS)
    assert shown.trend.description.startswith("200 visits, most often")
    put(store, window(59, site="shop-1", boot="f" * 16, schema=2, doubtful_low=2, doubtful_high=1))
    shown = view(store).overview(CONTROLS)
    assert shown.trend.description.startswith(
        "203 (201\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}204) visits, most often happiness"
    )
    assert "all 203 (201 to 204)" in text_of(shown.totals)
    assert "203 (201 to 204)" in text_of(shown.trend.table)
    (hover,) = [trace for trace in shown.trend.figure.data if trace.name == ALL_VISITS]
    assert "203 (201\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}204) visits" in hover.customdata


def test_totals_hold_windows_without_a_time_too(tmp_path: Path) -> None:
    """Their visits, unknown ones too, are in the totals and in the table of sites. Without other windows nothing is
    drawn over time and the totals stay.
    """
    kinds = dict.fromkeys(SEVEN, 0)
    put(tmp_path, window(2, kinds | {"happiness": 7, "unknown": 4}, clock="unsynced"))
    shown = view(tmp_path).overview(CONTROLS)
    assert "unknown 4 all 11" in " ".join(text_of(shown.totals).split())
    assert "No visits whose time is known" in shown.shares.description
    put(tmp_path, window(1, kinds | {"happiness": 5, "unknown": 3}))
    shown = view(tmp_path).overview(CONTROLS)
    assert "unknown 7 all 19" in " ".join(text_of(shown.totals).split())


def test_a_year_in_which_the_labels_changed_is_shown_by_label_set(tmp_path: Path) -> None:
    """Two months with one bundle are followed by two with another. Each label set is shown by itself, with gaps in the
    months of the other; the one with the most visits comes first.
    """
    young = {"young": 3, "old": 1, "unknown": 0}
    for month in range(4):
        put(tmp_path, window(month, young if month > 1 else None, start=NOW - timedelta(days=30 * (4 - month))))
    year = CONTROLS | {"days": "365", "by": "day"}
    first = view(tmp_path).overview(year).shares
    assert "young" in text_of(first.table) and "happiness" not in text_of(first.table)
    seven = labelset(sorted(SEVEN[:7]))[:8]
    other = view(tmp_path).overview(year | {"set": seven}).shares
    assert "happiness" in text_of(other.table) and "young" not in text_of(other.table)
    assert line_of(other.figure, "happiness")[-2:] == [None, None]


def test_of_eight_label_sets_one_is_drawn(tmp_path: Path) -> None:
    """Of eight label sets of thirty labels, the chart and the file have one."""
    sets = [{f"l{number}_{at}": 1 + number for at in range(30)} | {"unknown": 0} for number in range(8)]
    put(tmp_path, *(window(number, visits, device=f"door-{number}") for number, visits in enumerate(sets, 1)))
    shown = view(tmp_path).overview(CONTROLS)
    bars = {trace.name for trace in shown.trend.figure.data if trace.name not in OTHER_TRACES}
    assert bars == {*sets[7]}
    assert "240 visits" in shown.trend.description
    assert len(view(tmp_path).download(CONTROLS, "csv")[1].splitlines()[0].split(b",")) < 40


@pytest.mark.parametrize("kind", ["csv", "xlsx", "parquet"])
@pytest.mark.parametrize("days", ["1", "365"])
def test_a_range_without_windows_can_be_downloaded(tmp_path: Path, kind: str, days: str) -> None:
    """An empty store and a closed shop give a file with gaps and no error."""
    for _ in range(2):
        name, content = view(tmp_path).download(CONTROLS | {"days": days, "by": "day"}, kind)
        assert name.endswith(kind) and content
        put(tmp_path, window(start=NOW - timedelta(days=400)))


def test_bars_of_an_hour_that_occurs_twice_do_not_overlap(tmp_path: Path) -> None:
    """When clocks go back, the hour from 02:00 occurs twice and each is drawn at half the width. When they go forward,
    no bar covers the skipped hour.
    """
    autumn = datetime(2026, 10, 24, 22, tzinfo=timezone.utc)
    put(
        tmp_path, *(window(n, start=autumn + timedelta(hours=n), end=autumn + timedelta(hours=n + 1)) for n in range(6))
    )
    for width in (1.0, 1 / 6):
        table = by_time(load(tmp_path), round(width * 3600), BERLIN)
        (bars,) = [
            trace for trace in trend_figure(table, round(width * 3600), english()).data if trace.name == "happiness"
        ]
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
        trace
        for trace in trend_figure(by_time(load(tmp_path / "b"), 3600, BERLIN), 3600, english()).data
        if trace.name == "happiness"
    ]
    assert [str(x)[11:16] for x in bars.x] == ["01:00", "03:00"]
    assert list(bars.width) == [3_600_000] * 2


def test_the_table_of_a_chart_has_the_same_content(store: Path) -> None:
    """The table has the hour with 200 visits, and hours without data, which is not zero."""
    table = text_of(view(store).overview(CONTROLS).trend.table)
    assert "29 Mar 2026 01:00" in table
    assert re.search(r"29 Mar 2026 00:00\s+no data", table)
    assert re.search(r"29 Mar 2026 01:00 .*200 82 % 0 %", table)


def test_the_heat_map_has_visits_per_watched_hour(store: Path) -> None:
    """Two cameras watched 1.64 hours and saw 200 happy visits on Sunday at 01:00; all other cells are unknown."""
    heat, _ = view(store).heatmap(CONTROLS, "happiness")
    cells = np.asarray(heat.figure.data[0].z, float)
    assert cells.shape == (7, 1), "the only hour with visits"
    assert cells[6, 0] == pytest.approx(200 / (2 * 0.983 * 50 / 60), rel=1e-3)
    assert np.isnan(cells).sum() == 6
    assert "Sunday from 01:00" in heat.description


def test_shares_have_their_intervals(store: Path) -> None:
    """Chart and table have corrected shares with low and high; without a matrix the page says so."""
    shown = view(store).overview(CONTROLS).shares
    best = [value for value in line_of(shown.figure, "happiness") if value is not None]
    assert best == [pytest.approx(100, abs=2)]
    assert re.search(r"\d+ % \(\d+ to \d+\)", text_of(shown.table))
    assert "90 % intervals" in shown.description
    (store / "devices.json").unlink()
    unknown = view(store).overview(CONTROLS).shares
    assert "200 visits are left out: no device reports the matrix of their model" in unknown.description
    assert "not corrected" in text_of(unknown.table)


def test_two_sites_are_compared(store: Path) -> None:
    """The same mix shows no clear change; another mix does, and the description names it."""
    same = view(store).comparison(CONTROLS | {"sites": ["shop-1"], "against": "site", "other": "shop-2"})
    assert "No clear change in any share between shop-2 and shop-1" in same.description
    sad = dict.fromkeys(SEVEN, 0) | {"sadness": 3}
    put(store, *(window(n, sad, site="shop-3") for n in range(1, 61)))
    devices = DeviceRegistry(store)
    devices.record(Address("shop-3", "door", "model"), model(), False, NOW)
    devices.save()
    other = view(store).comparison(CONTROLS | {"sites": ["shop-3"], "against": "site", "other": "shop-1"})
    assert (
        other.description
        == "shop-3, compared with shop-1: less happiness, more sadness; no clear change in the others."
    )
    assert "no clear change" in text_of(other.table)


def test_an_empty_or_damaged_store_is_reported(tmp_path: Path, store: Path) -> None:
    """Without a window a text replaces the figure. An unknown file is left out and named."""
    (tmp_path / "none").mkdir()
    assert (
        "No data has arrived for the last hour"
        in view(tmp_path / "none").live(CONTROLS)[0].figure.layout.annotations[0].text
    )
    assert "No data" in view(tmp_path / "none").overview(CONTROLS).trend.description
    assert "No data" in view(tmp_path / "none").comparison(CONTROLS | {"against": "before"}).description
    next(store.glob("date=2026-03-29/site=shop-1/*.csv")).write_text("a,b\n1,2\n")
    shown = view(store)
    assert shown.overview(CONTROLS).trend.description.startswith("50 visits"), "the visits of the other shop"
    notices = text_of(shown.device_table(CONTROLS))
    assert "first columns" in notices and "shop-1/counts-" in notices
