"""Sums of all sites take little memory, whatever a store goes through."""

import gc
import random
from datetime import timedelta, timezone
from pathlib import Path
from types import FunctionType, ModuleType

import msgspec
import pytest

from collector.analysis.fleet_period import midnights
from collector.reading.reader import Reader
from collector.rollups import fleet_senders
from collector.rollups.cells import HOUR_S
from collector.rollups.fleet import Range
from collector.rollups.fleet_senders import SenderBlock
from collector.rollups.groups import Groups
from collector.rollups.rollup import Rollups
from contract.message import Models
from tests.support.fleet_stores import FIRST, age_files, compare, windows
from tests.support.store import SEVEN, put, window


def in_memory(owner: object, senders: list[tuple[str, str, str]]) -> tuple[int, int]:
    """Return the number of parts of sums that an object refers to, and of lists of these senders."""
    found: dict[int, object] = {}
    waiting = [owner]
    while waiting:
        each = waiting.pop()
        if id(each) not in found and not isinstance(each, (type, ModuleType, FunctionType)):
            found[id(each)] = each
            waiting += gc.get_referents(each)
    parts = sum(type(each) is SenderBlock for each in found.values())
    lists = [each for each in found.values() if isinstance(each, list) and each and isinstance(each[0], tuple)]
    return parts, lists.count(senders)


def test_months_of_changes_do_not_fill_the_memory(tmp_path: Path) -> None:
    """Of a store that changes between views, only the sums and devices of its last state are kept."""
    now, senders = [FIRST + timedelta(days=3)], [("kept-once", "door", "model@000000000001")]
    rollups, groups = Rollups(tmp_path, HOUR_S, lambda: now[0]), Groups({})
    model = Models(detector="faces@0123456789ab", expression=senders[0][2])
    kept = []
    for number in range(4):
        for moment in (FIRST, now[0]):  # saved in the roll-up file, and not yet saved
            put(tmp_path, window(number, start=moment, site="kept-once", boot=f"{moment.minute:016}", model=model))
        age_files(tmp_path, FIRST)
        put(tmp_path, window(100 + number, start=now[0], site="kept-once", model=model))
        now[0] += timedelta(minutes=20)
        span = FIRST - timedelta(days=1), now[0]
        found = rollups.fleet(Range(*span, midnights(timezone.utc, span)), groups)  # type: ignore[arg-type]
        assert found is not None and found[0].sites["windows"].sum() == 3 * (number + 1)
        del found
        kept.append(in_memory(rollups, senders))
    assert kept[0][0] > 0
    assert kept[1:] == kept[:-1]


def test_tables_of_few_devices_change_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of a hundred days, of one device of a fleet, is in tables of its own."""
    monkeypatch.setattr(fleet_senders, "SMALL", 0)
    rng, now, start = random.Random(4), FIRST + timedelta(days=150), FIRST + timedelta(days=23, hours=3)
    of_fleet = [
        msgspec.structs.replace(each, device=f"camera-{number}")
        for number in range(20)
        for each in windows(rng, 6, FIRST + timedelta(days=23), 1)
    ]
    end = start + timedelta(days=100)
    put(tmp_path, *of_fleet, window(1, dict.fromkeys(SEVEN, 9000), start, site="north", end=end))
    age_files(tmp_path, FIRST)
    reader = Reader(tmp_path, lambda: now)
    for controls in ({"days": "own", "first": "2026-03-09", "last": "2026-03-24"}, {"days": "365"}):
        compare(tmp_path, reader, now, controls | {"zone": "Europe/Berlin", "by": "day"})
