"""The sites of a period with their figures, in the order of one of them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from collector.analysis.headline import Headline
from collector.devices.device import Device
from collector.devices.state import shown_state
from collector.store.intervals import Floats

DOWN = "-down"
"""Ending of a sort key for the reverse order."""


@dataclass(frozen=True, slots=True)
class RankedSite:
    """A site, its figures and its devices."""

    name: str
    headline: Headline | None
    """None for a site without data in the period."""
    visits_over_time: Floats
    online: int
    devices: int


def ranked(
    headlines: Mapping[str, Headline], over_time: Mapping[str, Floats], devices: Iterable[Device], now: datetime
) -> list[RankedSite]:
    """Return the sites that have data in the period or a device."""
    all_devices, online = Counter[str](), Counter[str]()
    for device in devices:
        all_devices[device.site] += 1
        online[device.site] += shown_state(device, now) == "online"
    nothing = np.array([])
    return [
        RankedSite(name, headlines.get(name), over_time.get(name, nothing), online[name], all_devices[name])
        for name in sorted({*all_devices, *headlines})
    ]


def in_order(sites: Iterable[RankedSite], sort: str) -> list[RankedSite]:
    """Return the sites in order of a figure or of the name; ``visits-down`` begins with the most visits.

    Sites without data come last.
    """
    key = sort.removesuffix(DOWN)
    rows = sorted(sites, key=lambda site: _sort_key(site, key), reverse=sort.endswith(DOWN))
    return [row for row in rows if row.headline] + [row for row in rows if not row.headline]


def _sort_key(site: RankedSite, key: str) -> tuple[float, str]:
    found = site.headline
    if key == "site" or found is None:
        return 0.0, site.name
    values = {
        "visits": found.visits.value, "change": found.visits.change, "share": found.share.value,
        "unknown": found.unknown.value, "coverage": found.coverage.value,
    }  # fmt: skip
    return -np.inf if np.isnan(values[key]) else values[key], site.name
