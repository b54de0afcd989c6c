"""Which conditions hold now: devices that need a person, and figures beyond a threshold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from collector.alert_settings import Alerts, Threshold
from collector.devices.attention import TITLES, Kind, concerns, reported_windows
from collector.devices.device import Device
from collector.language.language import Language
from contract.hour import Hour


class Subject(Struct, frozen=True, kw_only=True):
    """What a condition is about; at most one condition has it."""

    site: str
    device: str
    kind: Literal[Kind, "threshold"]
    """What needs a person, or that a figure is beyond a threshold."""
    threshold: str | None = None
    """Name of the threshold, if that is the kind."""


class Text(Struct, frozen=True, kw_only=True):
    """A condition in words."""

    title: str
    """What people are told."""
    detail: str
    """What is known of it, may be empty; may change while the condition holds."""


Texts = dict[str, Text]
"""A condition in words, by code of the language."""


@dataclass(frozen=True, slots=True)
class Wording:
    """How conditions are written."""

    languages: Sequence[Language]
    zone: ZoneInfo
    """Time zone of the hours that texts name."""


def of_devices(devices: Sequence[Device], settings: Alerts, now: datetime, wording: Wording) -> dict[Subject, Texts]:
    """Return the devices that need a person, of the chosen kinds, with the texts in all languages."""
    found: dict[Subject, Texts] = {}
    for words in wording.languages:
        for each in concerns(devices, reported_windows(devices), now, language=words):
            if each.kind in settings.kinds:
                subject = Subject(site=each.site, device=each.device, kind=each.kind)
                text = Text(title=words.gettext(TITLES[each.kind]), detail=" ".join(each.detail.split()))
                found.setdefault(subject, {})[words.code] = text
    return found


def of_hours(
    hours: Iterable[Hour], settings: Alerts, runs: Mapping[Subject, int], wording: Wording
) -> dict[Subject, tuple[int, Texts]]:
    """Return for each threshold and device how many hours in a row were beyond the bound, with the texts.

    ``runs`` has the numbers before these hours. An hour that says nothing about a figure changes nothing and is left
    out. While an alert holds (its number has reached ``hours``), the figure must be back by ``margin`` to end it.
    """
    found = {}
    for hour in hours:
        for threshold in settings.thresholds:
            value = _figure(hour, threshold)
            if value is None or (threshold.sites and hour.site not in threshold.sites):
                continue
            subject = Subject(site=hour.site, device=hour.device, kind="threshold", threshold=threshold.name)
            before = runs.get(subject, 0)
            margin = threshold.margin if before >= threshold.hours else 0.0
            texts = {words.code: _text(hour, threshold, value, words, wording.zone) for words in wording.languages}
            found[subject] = (before + 1 if _is_beyond(value, threshold, margin) else 0, texts)
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


def _text(hour: Hour, threshold: Threshold, value: float, words: Language, zone: ZoneInfo) -> Text:
    """Say what is beyond the bound: ``Share of unknown above 40.0 %``, and the value of the hour."""
    start = words.moment(hour.start.astimezone(zone))
    detail = words.gettext("{value} in the hour from {time}", value=_value(value, threshold, words), time=start)
    return Text(title=_title(threshold, words), detail=f"{detail} ({zone.key})")


def _title(threshold: Threshold, words: Language) -> str:
    if threshold.figure == "visits":
        figure = words.gettext("Visits in an hour")
    elif threshold.figure == "coverage":
        figure = words.gettext("Time watched (coverage)")
    else:
        figure = words.gettext("Share of {label}", label=words.label(str(threshold.label)))
    if threshold.above is not None:
        return words.gettext("{figure} above {bound}", figure=figure, bound=_value(threshold.above, threshold, words))
    assert threshold.below is not None
    return words.gettext("{figure} below {bound}", figure=figure, bound=_value(threshold.below, threshold, words))


def _value(value: float, threshold: Threshold, words: Language) -> str:
    """Write a value or a bound so that the two do not look alike where they differ."""
    return words.number(value, 1) if threshold.figure == "visits" else words.percent(value, digits=1)
