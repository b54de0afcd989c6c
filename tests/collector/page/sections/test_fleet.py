"""The table of the fleet: who needs a person comes first, and each row says what the device runs."""

from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from collector.devices.groups import Groups
from collector.devices.registry import DeviceRegistry
from collector.page.sections.views import View
from collector.reading.reader import Reader
from contract.message import Status
from contract.topics import Address
from tests.support.device_models import model
from tests.support.messages import MESSAGES
from tests.support.pages import BOOT, CONTROLS, NOW, text_of, view

WELL = replace(
    MESSAGES["health-4"], boot=BOOT, time=NOW, uptime_s=200_000.0, shared_with=None, update_failed=None,
    spool_dropped=0, oldest_unsent=None, temperature_c=50.0, certificate_ends=NOW + timedelta(days=400),
)  # fmt: skip
CHANGES = {
    "a-well": {},
    "b-hot": {"temperature_c": 84.0},
    "c-update": {"update_failed": "2026.11.3: no space"},
    "d-away": {},
    "e-card": {"certificate_ends": NOW + timedelta(days=9), "configuration_sha256": "d" * 64},
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Five devices of two sites, of which one is well."""
    devices = DeviceRegistry(tmp_path)
    for name, changes in CHANGES.items():
        site = "shop-2" if name == "e-card" else "shop-1"
        state = "offline" if name == "d-away" else "online"
        status = Status(schema=1, state=state, boot=BOOT)  # type: ignore[arg-type]
        for kind, message in (("status", status), ("model", model()), ("health", replace(WELL, **changes))):
            devices.record(Address(site, name, kind), message, False, NOW)
    devices.save()
    return tmp_path


def rows(store: Path, **controls: object) -> list[str]:
    """Text of each row of the fleet's table."""
    table = view(store).device_table(CONTROLS | controls)[0]
    return [" ".join(text_of(row).split()) for row in table.children[2].children]


def test_devices_that_need_a_person_come_first(store: Path) -> None:
    """The most urgent first, each with all reasons; then the others, with what they run."""
    found = rows(store)
    assert [row.split()[1] for row in found] == ["d-away", "b-hot", "c-update", "e-card", "a-well"]
    assert "Update failed (2026.11.3: no space)" in found[2]
    assert "Certificate ends soon (7 April 2026)" in found[3]
    assert found[4] == "shop-1 a-well 2026.11.2 cccccccc seven@ba9876543210 3 May 2027 2 d just now"
    assert " dddddddd " in found[3]


def test_the_fleet_of_a_site(store: Path) -> None:
    """The sites selected above filter the table."""
    assert [row.split()[1] for row in rows(store, sites=["shop-2"])] == ["e-card"]


def test_the_fleet_of_a_group(store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The groups are those of the fleet's file, which may change; a damaged one is logged, and the groups stay."""
    file = tmp_path / "groups.csv"
    file.write_text("site,device,group\nshop-1,b-hot,north\nshop-2,e-card,south\n")
    shown = View(Reader(store, lambda: NOW, groups=Groups(file)), lambda: NOW)

    def rows_of(group: str) -> list[str]:
        return [text_of(row) for row in shown.device_table(CONTROLS, group)[0].children[2].children]

    assert shown.groups() == ["north", "south"]
    assert [row.split()[1] for row in rows_of("south")] == ["e-card"]
    assert rows_of("south")[0].split()[-1] == "south"
    assert len(rows_of("")) == len(CHANGES)
    file.write_text("site,device,group\nshop-1,b-hot,south\n")
    assert [row.split()[1] for row in rows_of("south")] == ["b-hot"]
    for damaged in ("site,device\nshop-1,b-hot\n", "site,device,group\nshop-2,e-card,south\nshop-1,b"):
        file.write_text(damaged)
        for _ in range(2):
            assert [row.split()[1] for row in rows_of("south")] == ["b-hot"]
    first, second = (record.getMessage() for record in caplog.records)
    assert "line 1: must have the columns site, device, group, lacks group" in first
    assert "line 3: group ''" in second


def test_an_empty_store_has_an_empty_fleet(tmp_path: Path) -> None:
    assert rows(tmp_path) == ["No device has sent anything yet."]
