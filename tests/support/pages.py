"""Views of the page on a store, their figures and texts."""

import math
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from collector.devices.registry import DeviceRegistry
from collector.page.sections.views import View
from collector.reading.reader import Reader
from contract.message import Status
from contract.topics import Address
from tests.support.device_models import model
from tests.support.store import SEVEN, put, window

NOW = datetime(2026, 3, 29, 1, 0, tzinfo=timezone.utc)
BERLIN = ZoneInfo("Europe/Berlin")
BOOT = "0" * 16
CONTROLS = {"days": "1", "by": "hour", "zone": "Europe/Berlin"}


def two_shops(root: Path) -> Path:
    """Return a store with one hour of two sites, each with a known device; ten minutes are missing."""
    for site, visits in (("shop-1", 3), ("shop-2", 1)):
        counts = dict.fromkeys(SEVEN, 0) | {"happiness": visits}
        put(root, *(window(n, counts, site=site) for n in range(1, 61) if not 20 <= n < 30))
    devices = DeviceRegistry(root)
    for site in ("shop-1", "shop-2"):
        devices.record(Address(site, "door", "status"), Status(schema=1, state="online", boot=BOOT), False, NOW)
        devices.record(Address(site, "door", "model"), model(), False, NOW)
    devices.save()
    return root


def view(root: Path, now: datetime = NOW) -> View:
    """Return the page's view of a store."""
    return View(Reader(root, lambda: now), lambda: now)


def line_of(figure: Any, name: str) -> list[float | None]:
    """Return the values of one line of a figure, None where it breaks."""
    (trace,) = [trace for trace in figure.data if trace.name == name]
    return [None if math.isnan(value) else float(value) for value in trace.y]


def text_of(component: Any) -> str:
    """All text in a tree of Dash components, with plain spaces."""
    if isinstance(component, (list, tuple)):
        return " ".join(text_of(part) for part in component)
    if hasattr(component, "children"):
        return text_of(component.children)
    return str(component or "").replace("\N{NO-BREAK SPACE}", " ")
