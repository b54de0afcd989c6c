"""How each device of a fleet stands: those that need a person first."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec import Struct

from contract.health import Health
from contract.release import DeviceManifest
from fleet.broker import as_program, listening
from fleet.enrolment.authority import parse_certificate
from fleet.enrolment.inventory import Device, check_groups, read_inventory
from fleet.found import PROGRAMS, SERVERS, Open
from fleet.publication.records import wanted_program
from fleet.publication.repository import OFFLINE
from fleet.rollout.observer import Observer, Report
from fleet.rollout.state import read_rollouts
from fleet.shadows import ShadowStatus, as_lines, shadow_statuses

QUIET_S = 1.0
"""Retained messages come at once; nothing for this long, seconds, means that all have come."""
ONLINE_DUE, OFFLINE_DUE = timedelta(days=2), timedelta(days=60)
"""How long before their end signatures are shown: those that `refresh` renews every day, and the others."""
MARGIN = timedelta(minutes=5)
"""A device whose last health message is older is silent, although the broker calls it online."""


class DeviceStatus(Struct, frozen=True, kw_only=True):
    """How a device stands."""

    site: str
    device: str
    group: str
    state: Literal["online", "stopping", "offline", "never seen", "not enrolled"]
    problems: tuple[str, ...]
    """Why it needs a person; empty where it does not."""
    release: str | None
    """What it runs; ``wanted_release`` is what it shall run."""
    wanted_release: str | None
    configuration: Literal["as released", "other", "unknown"]
    certificate_ends: datetime | None
    uptime_s: float | None
    last_health: datetime | None


class FleetStatus(Struct, frozen=True, kw_only=True):
    """How a fleet stands."""

    time: datetime
    devices: list[DeviceStatus]
    """Those with problems first."""
    rollouts: dict[str, str]
    """Phase and stage of each rollout that has not ended."""
    shadows: list[ShadowStatus]
    """Classifiers in shadow, on enrolled devices."""
    notices: list[str]
    """What the operator must renew."""


def status(fleet: Open, wait: timedelta, groups: Sequence[str] = ()) -> FleetStatus:
    """Ask the broker for the last messages of all devices, and compare them with inventory and repository.

    With groups, only their devices are shown, and no strangers. Raise Refused for a group that is not in the inventory,
    and ToolFailed if the broker cannot be reached.
    """
    folder = fleet.folder
    inventory, repository = read_inventory(folder.inventory), fleet.repository
    check_groups(inventory, groups)
    observer = _observed(fleet, wait)
    shown = [each for each in inventory.values() if not groups or each.group in groups]
    enrolled = [each for each in shown if each.state == "enrolled"]
    within = timedelta(days=fleet.settings.certificates.renew_before_days)
    devices = [
        describe(each, observer.reports.get(each.identity), wanted_program(repository, each), fleet.now, within)
        for each in enrolled
    ]
    for identity, report in sorted(observer.reports.items()) if not groups else ():
        if identity not in inventory:
            devices.append(_stranger(identity, "is not enrolled and sends messages"))
        elif inventory[identity].state == "revoked" and report.online:
            devices.append(_stranger(identity, "is revoked and still connected; restart the broker"))
    rollouts = {
        each.release: f"{each.phase}, stage {each.stage + 1} of {len(each.stages)}"
        for each in read_rollouts(folder)
        if each.phase not in ("done", "back")
    }
    devices.sort(key=lambda each: (not each.problems, -len(each.problems), each.site, each.device))
    names = [each.identity for each in enrolled]
    tables = {name: of.shadow for name in names if (of := observer.reports.get(name)) and of.shadow}
    return FleetStatus(
        time=fleet.now,
        devices=devices,
        rollouts=rollouts,
        shadows=shadow_statuses(tables, fleet.settings.promotion),
        notices=list(_notices(fleet)),
    )


def _observed(fleet: Open, wait: timedelta) -> Observer:
    """Return what the devices have said last. Raise ToolFailed if the broker cannot be reached."""
    observer, folder = Observer(), fleet.folder
    settings = as_program(fleet.settings.broker, str(folder.certificate("status")), str(folder.key("status")))
    with listening(settings, "status", "health", "shadow") as heard:
        until = time.monotonic() + wait.total_seconds()
        anything = True
        while anything and time.monotonic() < until:
            anything = False
            for sender, message, retained in heard.messages(QUIET_S):
                observer.add(sender, message, retained, fleet.now)
                anything = True
    return observer


def describe(
    device: Device, report: Report | None, manifest: DeviceManifest | None, now: datetime, renew_within: timedelta
) -> DeviceStatus:
    """Return how an enrolled device stands, by its last messages and what it shall run."""
    health = report.health if report else None
    ends = health.certificate_ends if health and health.certificate_ends else device.certificate_ends
    problems = list(_problems(report, health, manifest, now))
    if ends - now < renew_within:
        problems.append(f"certificate ends {ends:%Y-%m-%d}")
    configuration: Literal["as released", "other", "unknown"] = "unknown"
    if health and health.configuration_sha256 and manifest:
        same = health.configuration_sha256 == manifest.configuration.sha256
        configuration = "as released" if same else "other"
    return DeviceStatus(
        site=device.site,
        device=device.device,
        group=device.group,
        state="never seen" if report is None else report.state,
        problems=tuple(problems),
        release=health.release if health else None,
        wanted_release=manifest.release if manifest else None,
        configuration=configuration,
        certificate_ends=ends,
        uptime_s=health.uptime_s if health else None,
        last_health=health.time if health else None,
    )


def as_json(found: FleetStatus) -> str:
    """Return a status as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


def as_text(found: FleetStatus) -> str:
    """Return a status as a table, with what concerns the whole fleet above it."""
    bad = sum(bool(each.problems) for each in found.devices)
    lines = [f"{len(found.devices)} devices, {bad} need a person", *found.notices]
    lines += [f"rollout of {release}: {text}" for release, text in found.rollouts.items()]
    lines += as_lines(found.shadows)
    header = ("device", "group", "state", "release", "configuration", "up", "needs a person because")
    rows = [
        (
            f"{each.site}/{each.device}",
            each.group,
            each.state,
            each.release or "-",
            each.configuration,
            "-" if each.uptime_s is None else f"{each.uptime_s / 3600:.0f} h",
            "; ".join(each.problems),
        )
        for each in found.devices
    ]
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
    return "\n".join(lines)


def _notices(fleet: Open) -> Iterator[str]:
    """What the operator must renew: signatures of the repository, and certificates of servers and programs."""
    for each in fleet.repository.expiries():
        is_offline = each.role in OFFLINE
        if each.ends - fleet.now < (OFFLINE_DUE if is_offline else ONLINE_DUE):
            command = "renew --signatures" if is_offline else "refresh"
            yield f"signature of {each.role} ends {each.ends:%Y-%m-%d %H:%M}; run: facetally-fleet {command}"
    within = timedelta(days=fleet.settings.certificates.renew_before_days)
    for name in (*SERVERS, *PROGRAMS):
        path = fleet.folder.certificate(name)
        ends = parse_certificate(path.read_bytes(), str(path)).not_valid_after_utc
        if ends - fleet.now < within:
            yield f"certificate of {name} ends {ends:%Y-%m-%d}; run: facetally-fleet renew"


def _problems(
    report: Report | None, health: Health | None, manifest: DeviceManifest | None, now: datetime
) -> list[str]:
    if report is None:
        return ["never seen"]
    problems: list[str] = []
    if report.state != "online":
        problems.append(report.state)
    elif health is None or now - health.time > MARGIN:
        problems.append("silent" if health is None else f"silent since {health.time:%Y-%m-%d %H:%M}")
    if health is None:
        return problems
    if health.update_failed:
        problems.append(f"update failed: {health.update_failed}")
    if manifest is not None:
        if health.release != manifest.release:
            problems.append(f"runs release {health.release or 'unknown'}, shall run {manifest.release}")
        elif health.configuration_sha256 not in (None, manifest.configuration.sha256):
            problems.append("configuration is not the released one; edited by hand?")
    if health.shared_with is not None:
        problems.append("another device uses its name")
    return problems


def _stranger(identity: str, problem: str) -> DeviceStatus:
    """A device that sends messages and is not enrolled, or is revoked."""
    site, _, device = identity.partition("/")
    return DeviceStatus(
        site=site, device=device, group="-", state="not enrolled", problems=(problem,),
        release=None, wanted_release=None, configuration="unknown", certificate_ends=None, uptime_s=None,
        last_health=None,
    )  # fmt: skip
