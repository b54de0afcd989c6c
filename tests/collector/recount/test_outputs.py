"""Counts by hand and the totals of tracks are on the page, in the metrics, and printed by the command."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from collector.__main__ import main
from collector.api.metrics import exposition
from collector.devices.registry import DeviceRegistry
from collector.page.sections.views import View
from collector.reading.reader import Reader
from collector.recount import files
from collector.recount.recount import Recount
from contract.topics import Address
from tests.support.messages import MESSAGES
from tests.support.store import put, window

NOW = datetime(2026, 3, 29, 1, 0, tzinfo=timezone.utc)
RECOUNT = Recount(
    site="shop-1", device="door", started=NOW - timedelta(minutes=20), start=NOW - timedelta(minutes=18),
    end=NOW - timedelta(minutes=3), windows=15, by_hand=62, counted=60, compared=NOW,
)  # fmt: skip
SENTENCE = "97 % (89 to 99), 62 visits by hand, 60 counted"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with a recount, and a device whose health has totals of tracks."""
    put(tmp_path, window(1))
    devices = DeviceRegistry(tmp_path)
    health = replace(MESSAGES["health-4"], tracks_ended={"counted": 12, "staff_zone_2": 7, "too_short": 9})
    devices.record(Address("shop-1", "door", "health"), health, False, NOW)
    devices.save()
    files.write_recounts(tmp_path, [RECOUNT])
    return tmp_path


@dataclass
class Words:
    """The text of a tree of page components."""

    component: object

    def __str__(self) -> str:
        children = getattr(self.component, "children", self.component)
        if isinstance(children, list | tuple):
            return " | ".join(str(Words(each)) for each in children)
        return str(Words(children)) if hasattr(children, "children") else str(children)


def test_the_page_shows_totals_and_recounts_at_the_devices(root: Path) -> None:
    """Below the devices are the totals of the last full hour, and the counts by hand in the zone chosen."""
    page = View(Reader(root, lambda: NOW), lambda: NOW)
    before = page.fresh()
    text = str(Words(page.device_table({"site": "shop-1", "days": "1", "by": "hour", "zone": "Europe/Berlin"})))
    assert "site | device | counted | too short | staff zone 2 | shop-1 | door | 12 | 9 | 7" in text
    assert f"29 Mar 2026 01:42 to 01:57 | {SENTENCE}" in text
    files.write_recounts(root, [RECOUNT, replace(RECOUNT, started=NOW)])
    assert View(Reader(root, lambda: NOW), lambda: NOW).fresh() != before


def test_the_metrics_have_the_totals(root: Path) -> None:
    """One gauge per outcome that the device reports."""
    text = exposition(Reader(root, lambda: NOW), lambda: NOW).decode()
    (family,) = [each for each in text_string_to_metric_families(text) if each.name == "facetally_device_tracks_ended"]
    found = {sample.labels["outcome"]: sample.value for sample in family.samples}
    assert found == {"counted": 12, "staff_zone_2": 7, "too_short": 9}


def test_recounts_are_printed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As text, JSON and CSV; an unknown site has none, and a missing store is exit code 2."""
    assert main(["recounts", "--root", str(root)]) == 0
    assert capsys.readouterr().out == f"shop-1  door  2026-03-29T00:42:00Z  2026-03-29T00:57:00Z  {SENTENCE}\n"
    assert main(["recounts", "--root", str(root), "--csv", "--site", "shop-1"]) == 0
    assert capsys.readouterr().out == files.results_path(root).read_text()
    assert main(["recounts", "--root", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["by_hand"] == 62
    assert main(["recounts", "--root", str(root), "--site", "shop-9"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["recounts", "--root", str(root / "none")]) == 2


def test_a_damaged_result_or_session_stops_nothing(root: Path) -> None:
    """A line that is no result, and a session cut short by a power cut, are left out."""
    path = files.results_path(root)
    path.write_text(path.read_text() + "shop-1,door,yesterday,,,,,,\n")
    files.session_path(root, "c" * 32).write_text('{"site": "sh')
    assert files.read_recounts(root) == [RECOUNT]
    assert files.read_sessions(root) == {}
