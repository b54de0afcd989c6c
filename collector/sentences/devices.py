"""Devices in words: their states, what became of their tracks, refused messages, counts by hand."""

from collections.abc import Mapping
from datetime import datetime

from collector.devices.device import Device
from collector.devices.state import State
from collector.language.catalogue import mark
from collector.language.language import Language
from collector.recount.recount import Recount

STATES: Mapping[State, str] = {
    "unknown": mark("unknown"), "online": mark("online"), "stopping": mark("stopping"), "offline": mark("offline"),
    "silent": mark("silent"),
}  # fmt: skip
OUTCOMES: Mapping[str, str] = {
    "counted": mark("counted"),
    "dwell": mark("stayed in one spot"),
    "outside_hours": mark("outside opening hours"),
    "too_short": mark("too short"),
    "low_score": mark("low scores"),
    "fixed_face": mark("fixed face"),
}
"""Outcomes of `contract.health.Health.tracks_ended`, in the order in which they are shown."""
REFUSALS: Mapping[str, str] = {
    "messages": mark("too many messages"),
    "bytes": mark("too many bytes"),
    "devices": mark("too many devices"),
    "models": mark("too many models"),
    "dates": mark("too many dates"),
    "malformed": mark("malformed"),
}
"""Reasons for which a message is set aside: a `collector.errors.Limit`, or ``malformed``."""
MINUTE_S = 60


def state_name(state: State, language: Language) -> str:
    """Name a state of `collector.devices.state.shown_state`."""
    return language.gettext(STATES[state])


def outcome_name(outcome: str, language: Language) -> str:
    """Name what became of tracks; outcomes without a name have spaces instead of underscores."""
    return language.gettext(OUTCOMES[outcome]) if outcome in OUTCOMES else outcome.replace("_", " ")


def refusals(device: Device, language: Language) -> str:
    """Say how many messages of a device were set aside, and why; empty if none were."""
    return ", ".join(
        f"{language.gettext(REFUSALS.get(name, name))} {language.number(number)}"
        for name, number in sorted(device.refused.items())
    )


def age(then: datetime | None, now: datetime, language: Language) -> str:
    """Say how long ago a moment was."""
    if then is None:
        return language.gettext("none since the collector started")
    if (now - then).total_seconds() < MINUTE_S:
        return language.gettext("just now")
    return language.gettext("{time} ago", time=language.duration(now - then))


def recount_result(recount: Recount, language: Language) -> str:
    """Describe the result of a count by hand: ``97 % (89 to 99), 62 visits by hand, 60 counted``."""
    numbers = {"by_hand": language.number(recount.by_hand), "counted": language.number(recount.counted)}
    found = recount.ratio_interval()
    if found is None:
        return language.gettext("{by_hand} visits by hand, {counted} counted", **numbers)
    low, high = (language.number(100 * each) for each in (found.low, found.high))
    return language.gettext(
        "{ratio} ({low} to {high}), {by_hand} visits by hand, {counted} counted",
        ratio=language.percent(found.ratio), low=low, high=high, **numbers,
    )  # fmt: skip
