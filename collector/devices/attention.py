"""What needs a person: devices that are away, see badly, or lose counts, from their last messages and windows."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from collector.devices.device import Device
from collector.devices.state import shown_state
from collector.language.catalogue import mark

if TYPE_CHECKING:
    from collector.language.language import Language

Kind = Literal[
    "offline", "silent", "unknown", "blind", "moved", "hot", "disk", "unsent", "clock", "twins", "model", "update",
    "certificate",
]  # fmt: skip
TITLES: dict[Kind, str] = {
    "offline": mark("Offline"),
    "silent": mark("Silent: connected, but nothing arrives"),
    "unknown": mark("Never connected since the collector started"),
    "blind": mark("Camera sees nothing or not clearly"),
    "moved": mark("Camera was moved: aim it again and draw the staff zones again"),
    "hot": mark("Too hot: the device counts less"),
    "disk": mark("Disk full: counts were lost"),
    "unsent": mark("Counts wait on the device"),
    "clock": mark("Clock not set: counts have no time"),
    "twins": mark("Two devices use one name"),
    "model": mark("Error rates differ from those of other devices with this model"),
    "update": mark("Update failed"),
    "certificate": mark("Certificate ends soon"),
}
"""What each kind is called on the page, the most urgent first."""
REASONS: Mapping[str, Kind] = {
    "no_camera": "blind", "frozen": "blind", "black": "blind", "covered": "blind", "blurred": "blind", "moved": "moved",
    "hot": "hot",
}  # fmt: skip
"""Reason of a degraded window: kind."""
REASON_WORDS: Mapping[str, str] = {
    "no_camera": mark("no camera"), "frozen": mark("frozen"), "black": mark("black"), "covered": mark("covered"),
    "blurred": mark("blurred"), "moved": mark("moved"), "hot": mark("hot"),
}  # fmt: skip
HOT_C = 80.0
"""Temperature at which a Raspberry Pi begins to slow down, degrees Celsius."""
UNSENT_AFTER = timedelta(hours=1)
CERTIFICATE_BEFORE = timedelta(days=30)
RECENT = timedelta(hours=2)
"""A reason is current if the device's last window has it and ended this recently."""


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing that needs a person, at one device."""

    kind: Kind
    site: str
    device: str
    detail: str
    """What is known of it, such as ``no message for 3 h``; may be empty."""


@dataclass(frozen=True, slots=True)
class LastWindow:
    """End and reasons of a device's last window."""

    end: datetime
    degraded: tuple[str, ...]


def concerns(
    devices: Iterable[Device],
    last_windows: Mapping[tuple[str, str], LastWindow],
    now: datetime,
    *,
    twins: Collection[tuple[str, str]] = (),
    conflicting: Collection[tuple[str, str]] = (),
    language: "Language | None" = None,
) -> list[Concern]:
    """Return what needs a person, by kind in the order of `TITLES`, then by site and device.

    ``last_windows`` may lack devices whose last window is not degraded. ``twins`` are site and name of devices that
    share a name, ``conflicting`` of those whose confusion matrix differs from that of others with the same model.
    Details are in ``language``, English by default.
    """
    from collector.language.language import english  # noqa: PLC0415 - babel, which a receiver needs for alerts only

    words = language or english()
    found = []
    for device in devices:
        key = (device.site, device.device)
        pairs = [*_of_state(device, now, words), *_of_health(device, now, words)]
        pairs += _of_window(last_windows.get(key), now, words)
        pairs += [("twins", "")] * (key in twins or bool(device.health and device.health.shared_with))
        pairs += [("model", "")] * (key in conflicting)
        if pairs:
            found += [Concern(kind, *key, detail) for kind, detail in dict(reversed(pairs)).items()]
    order = list(TITLES)
    return sorted(found, key=lambda each: (order.index(each.kind), each.site, each.device))


def reported_windows(devices: Iterable[Device]) -> dict[tuple[str, str], LastWindow]:
    """Return the last window of each device, as the collector has noted it on arrival."""
    return {
        (device.site, device.device): LastWindow(device.counted, device.degraded)
        for device in devices
        if device.counted
    }


Pairs = Sequence[tuple[Kind, str]]


def _of_state(device: Device, now: datetime, language: "Language") -> Pairs:
    state = shown_state(device, now)
    if state in ("offline", "silent"):
        kind: Kind = "offline" if state == "offline" else "silent"
        away = language.duration(now - device.seen) if device.seen else ""
        return [(kind, language.gettext("no message for {time}", time=away) if away else "")]
    return [("unknown", "")] if state == "unknown" else []


def _of_health(device: Device, now: datetime, language: "Language") -> Pairs:
    """Return what the last health message says."""
    health = device.health
    if health is None:
        return []
    found: list[tuple[Kind, str]] = []
    if health.temperature_c is not None and health.temperature_c >= HOT_C:
        found.append(("hot", f"{language.number(health.temperature_c)} °C"))
    if health.spool_dropped:
        text = language.ngettext("{number} window", "{number} windows", health.spool_dropped)
        found.append(("disk", text))
    if health.oldest_unsent is not None and health.time - health.oldest_unsent > UNSENT_AFTER:
        waiting = language.duration(health.time - health.oldest_unsent)
        text = language.ngettext(
            "{number} window, for {time}", "{number} windows, for {time}", health.spool_depth, time=waiting
        )
        found.append(("unsent", text))
    if health.clock == "unsynced":
        found.append(("clock", ""))
    if health.update_failed:
        found.append(("update", health.update_failed))
    if health.certificate_ends is not None and health.certificate_ends - now < CERTIFICATE_BEFORE:
        found.append(("certificate", language.date(health.certificate_ends)))
    return found


def _of_window(last: LastWindow | None, now: datetime, language: "Language") -> Pairs:
    """Return why the device's last window saw less, if that is recent."""
    if last is None or now - last.end > RECENT:
        return []
    return [(REASONS[each], language.gettext(REASON_WORDS[each])) for each in last.degraded if each in REASONS]
