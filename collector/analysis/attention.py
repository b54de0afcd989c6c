"""What needs a person now, from the devices and the windows of the last day of a store."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import pandas as pd

from collector.analysis.confusion import Matrices, conflicts
from collector.analysis.query import Reader
from collector.analysis.sequence import clones
from collector.devices.attention import Concern, LastWindow, concerns
from collector.devices.device import Device
from collector.language.language import Language

DAY = timedelta(days=1)


def current_concerns(reader: Reader, now: datetime, language: Language) -> tuple[list[Concern], tuple[Device, ...]]:
    """Return what needs a person at all sites, and all devices."""
    devices = reader.devices()
    windows = reader.windows((now - DAY, now))
    return concerns_of(devices, windows, reader.matrices(), now, language), devices


def concerns_of(
    devices: Iterable[Device],
    windows: pd.DataFrame,
    matrices: Matrices,
    now: datetime,
    language: Language | None = None,
) -> list[Concern]:
    """Return what needs a person at some devices; ``windows`` are theirs of the last day. English by default."""
    twins = {(str(row.site), str(row.device)) for row in clones(windows).itertuples()}
    conflicting = {(site, name) for site, name, _ in conflicts(matrices)}
    last = last_windows(windows)
    return concerns(devices, last, now, twins=twins, conflicting=conflicting, language=language)


def by_device(found: Iterable[Concern]) -> dict[tuple[str, str], list[Concern]]:
    """Return concerns by site and name of their device; devices and their concerns stay in order of urgency."""
    grouped: dict[tuple[str, str], list[Concern]] = {}
    for each in found:
        grouped.setdefault((each.site, each.device), []).append(each)
    return grouped


def last_windows(windows: pd.DataFrame) -> dict[tuple[str, str], LastWindow]:
    """Return the last window of each device, from a table of `collector.store.load.load`."""
    latest = windows.sort_values("end").drop_duplicates(["site", "device"], keep="last")
    return {
        (site, device): LastWindow(end.to_pydatetime(), tuple(degraded.split("|")) if degraded else ())
        for site, device, end, degraded in zip(
            latest["site"], latest["device"], latest["end"], latest["degraded"], strict=True
        )
    }
