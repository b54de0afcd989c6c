"""What needs a person now, from the devices and the windows of the last day of a store."""

from collections.abc import Collection, Iterable
from datetime import datetime

from collector.devices.attention import Concern, concerns
from collector.devices.device import Device
from collector.language.language import Language
from collector.live.windows import LiveWindows
from collector.reading.reader import Reader


def current_concerns(reader: Reader, now: datetime, language: Language) -> tuple[list[Concern], tuple[Device, ...]]:
    """Return what needs a person at all sites, and all devices."""
    devices = reader.devices()
    return concerns_of(devices, reader.live, reader.conflicting(), now, language), devices


def concerns_of(
    devices: Iterable[Device],
    live: LiveWindows,
    conflicting: Collection[tuple[str, str]],
    now: datetime,
    language: Language | None = None,
) -> list[Concern]:
    """Return what needs a person at some devices, in English by default.

    ``conflicting`` are site and name of devices, see `Reader.conflicting`.
    """
    last = live.last_windows(degraded_only=True)
    return concerns(devices, last, now, twins=live.twins(), conflicting=conflicting, language=language)


def by_device(found: Iterable[Concern]) -> dict[tuple[str, str], list[Concern]]:
    """Return concerns by site and name of their device; devices and their concerns stay in order of urgency."""
    grouped: dict[tuple[str, str], list[Concern]] = {}
    for each in found:
        grouped.setdefault((each.site, each.device), []).append(each)
    return grouped
