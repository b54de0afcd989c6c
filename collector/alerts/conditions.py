"""Which conditions hold now: devices that need a person, and figures beyond a threshold."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from collector.alert_settings import Alerts, Threshold
from collector.devices.attention import TITLES, concerns, reported_windows
from collector.devices.device import Device
from contract.hour import Hour


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that may need to be told."""

    site: str
    device: str
    kind: str
    """A kind of `collector.devices.attention`, or the name of a threshold after ``threshold:``."""
    title: str
    """What people are told."""
    detail: str = ""
    """What is known of it; may change while the condition holds."""

    @property
    def key(self) -> str:
        """Text that is unique to site, device and kind."""
        return f"{self.site}/{self.device}/{self.kind}"


def of_devices(devices: tuple[Device, ...], settings: Alerts, now: datetime) -> dict[str, Condition]:
    """Return the devices that need a person, of the chosen kinds, by key."""
    found = concerns(devices, reported_windows(devices), now)
    return {
        condition.key: condition
        for each in found
        if each.kind in settings.kinds
        for condition in [Condition(each.site, each.device, each.kind, TITLES[each.kind], each.detail)]
    }


def of_hours(hours: Iterable[Hour], settings: Alerts, runs: Mapping[str, int]) -> dict[str, tuple[int, Condition]]:
    """Return for each threshold and device how many hours in a row were beyond the bound, with the condition, by key.

    ``runs`` has the numbers before these hours. An hour that says nothing about a figure changes nothing and is left
    out. While an alert holds (its number has reached ``hours``), the figure must be back by ``margin`` to end it.
    """
    found = {}
    for hour in hours:
        for threshold in settings.thresholds:
            value = _figure(hour, threshold)
            if value is None or (threshold.sites and hour.site not in threshold.sites):
                continue
            condition = _condition(hour, threshold, value)
            before = runs.get(condition.key, 0)
            margin = threshold.margin if before >= threshold.hours else 0.0
            found[condition.key] = (before + 1 if _is_beyond(value, threshold, margin) else 0, condition)
    return found


def _figure(hour: Hour, threshold: Threshold) -> float | None:
    """Return the figure of an hour; None if the hour says nothing about it."""
    if threshold.figure == "coverage":
        return hour.coverage
    visits = sum(hour.visits.values())
    if threshold.label is None:
        return visits if hour.coverage > 0 else None
    if visits < threshold.min_visits or threshold.label not in hour.visits:
        return None
    return hour.visits[threshold.label] / visits


def _is_beyond(value: float, threshold: Threshold, margin: float) -> bool:
    if threshold.above is not None:
        return value > threshold.above - margin
    assert threshold.below is not None
    return value < threshold.below + margin


def _condition(hour: Hour, threshold: Threshold, value: float) -> Condition:
    figure = threshold.figure if threshold.label is None else f"{threshold.figure} of {threshold.label}"
    bound = f"above {threshold.above:g}" if threshold.above is not None else f"below {threshold.below:g}"
    detail = f"{value:.3g} in the hour from {hour.start:%Y-%m-%d %H:%M} UTC"
    return Condition(hour.site, hour.device, f"threshold:{threshold.name}", f"{figure} {bound}", detail)
