"""What the devices of a fleet report, message by message, and how one of them stands on a release."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from contract.health import Health
from contract.labels import UNKNOWN
from contract.message import Counts, Message, Shadow, Status
from contract.release import DeviceManifest
from contract.topics import Address
from fleet.rollout.decision import Figures, Traffic, View
from fleet.rollout.state import DeviceState


@dataclass(slots=True)
class Report:
    """The last messages of a device."""

    heard: datetime | None = None
    """When its last message arrived that the broker had not kept from earlier."""
    state: Literal["online", "stopping", "offline"] = "offline"
    health: Health | None = None
    """Of its present start."""
    boot: str | None = None
    shadow: Shadow | None = None
    """Its agreement table."""
    counted: datetime | None = None
    """When its last window arrived."""

    @property
    def online(self) -> bool:
        """Whether its last status says that it is connected."""
        return self.state == "online"


def figures(health: Health) -> Figures | None:
    """Return speed and size of a daemon by its health message; None for that of its first seconds."""
    if health.frames_per_s > 0 and not health.latency_ms:
        return None
    latency = sum(stage.p50 for stage in health.latency_ms.values())
    return Figures(frames_per_s=health.frames_per_s, latency_ms=latency, memory_mb=health.memory_mb)


def runs(health: Health | None, manifest: DeviceManifest) -> bool:
    """Whether a device reports the release and configuration of a manifest."""
    return (
        health is not None
        and health.release == manifest.release
        and health.configuration_sha256 == manifest.configuration.sha256
    )


@dataclass(slots=True)
class Observer:
    """Collects messages, and follows the devices of a rollout."""

    reports: dict[str, Report] = field(default_factory=dict)
    """By ``SITE/DEVICE``."""

    def add(self, sender: Address, message: Message, retained: bool, now: datetime) -> Report:
        """Note a message, and return the report of its device."""
        report = self.reports.setdefault(f"{sender.site}/{sender.device}", Report())
        if not retained:
            report.heard = now
        if isinstance(message, Status):
            report.state = message.state
            report.boot = message.boot
        elif isinstance(message, Health):
            report.health, report.boot = message, message.boot
        elif isinstance(message, Counts):
            report.counted = now
        elif isinstance(message, Shadow):
            report.shadow = message
        return report

    def follow(
        self, identity: str, state: DeviceState, wanted: DeviceManifest | None, message: Message, now: datetime
    ) -> None:
        """Update how far a device of the rollout has come, after a message of it was added.

        ``wanted`` is what it was given, None before that.
        """
        report = self.reports[identity]
        if state.taken is None and wanted is not None and report.online and self._runs_all(report, wanted):
            state.taken, state.boots = now, []
        if state.taken is not None and report.boot is not None and report.boot not in state.boots:
            state.boots.append(report.boot)
        if isinstance(message, Counts) and message.clock != "unsynced":
            self._count(state, message)

    def begin(self, identity: str, state: DeviceState, now: datetime) -> None:
        """Note how a device stands as it is given the release."""
        report = self.reports.get(identity, Report())
        state.given, state.taken, state.boots = now, None, []
        state.was_online = report.online
        state.failed_before = report.health.update_failed if report.health else None
        state.before = figures(report.health) if report.health else None

    def view(
        self, identity: str, state: DeviceState, wanted: DeviceManifest | None, now: datetime, connected_s: float
    ) -> View:
        """Return how a device stands. ``connected_s`` is for how many seconds this side has been able to hear it."""
        report = self.reports.get(identity, Report())
        failed = report.health.update_failed if report.health else None
        return View(
            identity=identity,
            was_online=state.was_online,
            taken_s=None if state.taken is None else (now - state.taken).total_seconds(),
            update_failed=failed if failed != state.failed_before else None,
            left_it=state.taken is not None and wanted is not None and not runs(report.health, wanted),
            silent_s=_since((report.heard, state.taken), now, connected_s),
            uncounted_s=_since((report.counted, state.taken), now, connected_s),
            restarts=max(0, len(state.boots) - 1),
            before=state.before,
            now=figures(report.health) if report.health and report.health.boot in state.boots else None,
            traffic=state.traffic,
            traffic_before=state.traffic_before,
        )

    def silent_ratio(self, identities: Iterable[str], now: datetime, connected_s: float, limit_s: float) -> float:
        """Return the ratio of the devices that were ever heard and are silent for longer than a limit."""
        heard = [report.heard for name in identities if (report := self.reports.get(name)) and report.heard]
        silent = [time for time in heard if _since((time,), now, connected_s) > limit_s]
        return len(silent) / len(heard) if heard else 0.0

    def _runs_all(self, report: Report, wanted: DeviceManifest) -> bool:
        """Whether a device and those of its further cameras that are online report what a manifest names.

        A camera whose card is still to be written is never online.
        """
        for name, configuration in wanted.instances.items():
            camera = self.reports.get(f"{wanted.site}/{name}")
            if camera and camera.online and not runs(camera.health, replace(wanted, configuration=configuration)):
                return False
        return runs(report.health, wanted)

    @staticmethod
    def _count(state: DeviceState, window: Counts) -> None:
        """Add a window to the traffic before or after the device took the release; repeats are left out."""
        if state.counted_until is not None and window.end <= state.counted_until:
            return
        state.counted_until = window.end
        length = (window.end - window.start).total_seconds()
        added = Traffic(
            visits=sum(window.visits.values()),
            unknown=window.visits.get(UNKNOWN, 0),
            covered_s=length * window.coverage,
            length_s=length,
        )
        if state.taken is not None and window.start >= state.taken:
            state.traffic += added
        elif state.given is None or window.end <= state.given:
            state.traffic_before += added


def _since(times: Iterable[datetime | None], now: datetime, connected_s: float) -> float:
    """Seconds since the last of some times; no longer than this side is connected."""
    known = [(now - time).total_seconds() for time in times if time is not None]
    return max(0.0, min([*known, connected_s]))
