"""The first screen says one thing about each figure, and nothing that the data do not hold."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.devices.registry import DeviceRegistry
from collector.language.language import english
from collector.page.controls.selection import ControlValues, address, resolve
from collector.page.first_screen.first_screen import FirstScreen
from collector.reading.reader import Reader
from contract.labels import labelset
from contract.message import Status
from contract.topics import Address
from tests.support.device_models import model
from tests.support.pages import BERLIN, BOOT, CONTROLS, NOW, text_of, two_shops, view
from tests.support.store import SEVEN, put, window

DAY = timedelta(days=1)
MIX = dict.fromkeys(SEVEN, 0) | {"happiness": 3, "neutral": 9, "sadness": 2, "unknown": 3}
MOOD = {"positive": 9, "negative": 3, "unknown": 0}


def first(root: Path, **controls: Any) -> Any:
    return FirstScreen(Reader(root, lambda: NOW), lambda: NOW).figures(CONTROLS | controls)


@pytest.fixture
def fortnight(tmp_path: Path) -> Path:
    """Two weeks of two shops by hour, from 08:00 to 20:00; shop-1 has half as many visits again in the second week."""
    windows = []
    for site in ("shop-1", "shop-2"):
        for hour in range(1, 24 * 14):
            start = NOW - timedelta(hours=hour)
            if 8 <= start.hour < 20:
                factor = 1.5 if site == "shop-1" and hour < 24 * 7 else 1
                visits = {name: round(factor * (4 + start.hour % 3) * number) for name, number in MIX.items()}
                windows.append(window(hour, visits, start, site=site, end=start + timedelta(hours=1)))
    put(tmp_path, *windows)
    devices = DeviceRegistry(tmp_path)
    for site, state in (("shop-1", "online"), ("shop-2", "offline")):
        devices.record(Address(site, "door", "status"), Status(schema=1, state=state, boot=BOOT), False, NOW)  # type: ignore[arg-type]
        devices.record(Address(site, "door", "model"), model(), False, NOW)
    devices.save()
    return tmp_path


def test_ten_visits_in_a_minute_are_no_602_an_hour(tmp_path: Path) -> None:
    """On a first day of one watched minute the visits are shown, and no rate per hour."""
    put(tmp_path, window(30, dict.fromkeys(SEVEN, 0) | {"happiness": 10}))
    shown = first(tmp_path)
    heat, _ = view(tmp_path).heatmap(CONTROLS, "visits")
    text = text_of([shown.tiles, shown.sites, heat.description, heat.table])
    assert "10" in text_of(shown.tiles)
    assert not re.search(r"\b(60\d|61\d)\b", text)
    assert "Cameras watched no hour of the week for 30 minutes" in heat.description


def test_two_label_sets_have_no_common_total(tmp_path: Path) -> None:
    """Shares of both sets would sum to 200 %. Each view has one set, whose shares sum to 100 %, and names the other."""
    put(tmp_path, *(window(n, MIX) for n in range(1, 30)), *(window(n, MOOD, device="till") for n in range(1, 20)))
    for chosen, visits in (("", "493"), (labelset(["negative", "positive"])[:8], "228")):
        shown = first(tmp_path, set=chosen)
        assert visits in text_of(shown.tiles)
        assert "2 label sets" in text_of(shown.notice) and "Not included" in text_of(shown.notice)
        totals = text_of(view(tmp_path).overview(CONTROLS | {"set": chosen}).totals)
        shares = [int(share) for share in re.findall(r"\d (\d+) %", totals)]
        assert sum(shares) == pytest.approx(100, abs=2)
    assert len(first(tmp_path).sets) == 2


def test_a_share_has_one_value_everywhere(fortnight: Path) -> None:
    """Tile, ranked site, table of totals, words below the chart and comparison give the same share and interval."""
    controls = CONTROLS | {"days": "7", "sites": ["shop-1"], "label": "neutral"}
    shown, page = first(fortnight, **controls), view(fortnight)
    (share,) = set(re.findall(r"neutral\s+[\d,]+ (\d+ % \(\d+ to \d+\))", text_of(page.overview(controls).totals)))
    value, low, high = re.findall(r"\d+", share)
    assert f"{value} %  {low} to {high} %" in text_of(shown.tiles)
    assert share in text_of(shown.sites)
    assert f"most often neutral ({share} of the recognised visits)" in text_of(
        page.overview(controls).trend.description
    )
    assert share in text_of(page.comparison(controls).table)
    raw = 9 / 17
    assert not value.startswith(f"{raw:.0%}"[:2]), "the share of all visits, unknown ones too, is another number"


def test_a_change_is_compared_and_judged(fortnight: Path) -> None:
    """Half as many visits again are a clear change; equal weeks may be random. The compared period is named."""
    more, same = first(fortnight, days="7", sites=["shop-1"]), first(fortnight, days="7", sites=["shop-2"])
    assert re.search(r"▲ \+(49|50|51) %", text_of(more.tiles)) and "clear change" in text_of(more.tiles)
    assert "● 0 %" in text_of(same.tiles) and "may be random" in text_of(same.tiles)
    assert "compared with 15 March 2026 02:00 to 22 March 2026 02:00 (the same weekdays)" in text_of(more.tiles)
    site = first(fortnight, days="7", sites=["shop-1"], against="site", other="shop-2")
    assert re.search(r"▲ \+(49|50|51) %", text_of(site.tiles)) and "with shop-2 in the same period" in text_of(
        site.tiles
    )
    assert "nothing to compare with" in text_of(first(fortnight, days="30").tiles)


def test_sites_are_ranked_and_sorted(fortnight: Path) -> None:
    names = re.compile(r"shop-\d")
    assert names.findall(text_of(first(fortnight, days="7").sites)) == ["shop-1", "shop-2"]
    assert names.findall(text_of(first(fortnight, days="7", sort="visits").sites)) == ["shop-2", "shop-1"]
    assert names.findall(text_of(first(fortnight, days="7", sort="site-down").sites)) == ["shop-2", "shop-1"]
    row = text_of(first(fortnight, days="7").sites)
    assert "0 of 1" in row, "the device of shop-2 is offline"


def test_the_banner_names_every_device_that_needs_a_person(fortnight: Path) -> None:
    """It shows all sites, whatever is selected; a healthy fleet has a calm banner."""
    screen = FirstScreen(Reader(fortnight, lambda: NOW), lambda: NOW)
    assert text_of(screen.banner(english())).startswith("1 of 2 devices needs attention Offline:  shop-2 / door")
    healthy = FirstScreen(Reader(two_shops(fortnight / "two"), lambda: NOW), lambda: NOW)
    assert text_of(healthy.banner(english())) == "Nothing needs attention: 2 devices online."


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ({"sites": ["shop-9"]}, "There is no site shop-9. Sites: shop-1, shop-2."),
        ({"sites": ["../x"]}, "sites"),
        ({"days": "x"}, "days"),
        ({"zone": "Mars/Base"}, "Mars/Base"),
        ({"days": "own", "first": "2026-03-20", "last": "2026-03-01"}, "The first day must not be after the last day."),
        ({"sort": "colour"}, "sort"),
    ],
)
def test_wrong_choices_are_named(fortnight: Path, controls: dict[str, Any], message: str) -> None:
    assert message in text_of(first(fortnight, **controls).tiles)


@pytest.mark.parametrize(
    ("days", "since", "until"),
    [
        ("today", "29 March 2026 00:00", "29 March 2026 03:00"),
        ("yesterday", "28 March 2026 00:00", "29 March 2026 00:00"),
        ("week", "23 March 2026 00:00", "29 March 2026 03:00"),
        ("lastweek", "16 March 2026 00:00", "23 March 2026 00:00"),
        ("month", "1 March 2026 00:00", "29 March 2026 03:00"),
        ("lastmonth", "1 February 2026 00:00", "1 March 2026 00:00"),
    ],
)
def test_periods_are_local_days(days: str, since: str, until: str) -> None:
    """On the day of the clock change in Berlin, too."""
    selection = resolve(CONTROLS | {"days": days}, NOW)
    assert english().span(selection.span, BERLIN) == f"{since} to {until}"
    assert selection.reference().span[1] < selection.span[1]


def test_the_address_keeps_all_choices() -> None:
    values = ControlValues(sites=("a", "b"), days="month", against="site", other="c", sort="share", zone="Asia/Tokyo")
    assert address(values) == "?site=a,b&period=month&compare=site&with=c&zone=Asia/Tokyo&sort=share"
    assert address(ControlValues(zone="UTC")) == "?zone=UTC"
