"""What needs a person, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from collector.devices.attention import TITLES, Concern, Kind
from collector.language.language import Language

URGENT: tuple[Kind, ...] = ("offline", "silent", "blind", "moved", "disk", "twins")


@dataclass(frozen=True, slots=True)
class ConcernGroup:
    """Devices that need a person for one reason."""

    title: str
    urgent: bool
    concerns: tuple[Concern, ...]


def attention_summary(found: Sequence[Concern], devices: int, language: Language) -> str:
    """Say in one line how many devices need a person."""
    if not devices:
        return language.gettext("No device has sent anything yet.")
    if not found:
        return language.ngettext(
            "Nothing needs attention: {number} device online.",
            "Nothing needs attention: {number} devices online.",
            devices,
        )
    concerned = len({(each.site, each.device) for each in found})
    if devices == 1:
        return language.gettext("1 of 1 device needs attention")
    return language.ngettext(
        "{number} of {devices} devices needs attention",
        "{number} of {devices} devices need attention",
        concerned,
        devices=language.number(devices),
    )


def concern_groups(found: Sequence[Concern], language: Language) -> tuple[ConcernGroup, ...]:
    """Group what needs a person by kind, in the order of `collector.devices.attention.concerns`."""
    return tuple(
        ConcernGroup(language.gettext(TITLES[kind]), kind in URGENT, tuple(members))
        for kind, members in groupby(found, key=lambda each: each.kind)
    )
