"""Decide how a rollout goes on, from what the devices of its present stage report. Pure: no clock, no broker."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from msgspec import Struct

from fleet.rollout.statistics import rate_differs, share_rises
from fleet.settings import Bounds

COUNTS_LIMIT_S = 2700.0
"""A device that counts sends a window in this time, seconds: ``privacy.release_s`` is 900 by default."""
MANY_SILENT = 0.5
"""If more than this ratio of the other devices is silent, the broker or the network is at fault."""


class Figures(Struct, frozen=True, kw_only=True):
    """Speed and size of a daemon by its health message."""

    frames_per_s: float
    latency_ms: float
    """Sum of the medians of all stages; 0 where no frame was processed."""
    memory_mb: float


class Traffic(Struct, frozen=True, kw_only=True):
    """Sums over windows of a device."""

    visits: int = 0
    unknown: int = 0
    covered_s: float = 0.0
    """Seconds, each times its coverage."""
    length_s: float = 0.0
    """Seconds."""

    def __add__(self, other: "Traffic") -> "Traffic":
        """Return the sums over both."""
        return Traffic(
            visits=self.visits + other.visits,
            unknown=self.unknown + other.unknown,
            covered_s=self.covered_s + other.covered_s,
            length_s=self.length_s + other.length_s,
        )

    @property
    def coverage(self) -> float:
        """Mean coverage; 0 without windows."""
        return self.covered_s / self.length_s if self.length_s else 0.0


class View(Struct, frozen=True, kw_only=True):
    """What is known about a device of the stage."""

    identity: str
    was_online: bool
    """It was heard before the stage began."""
    taken_s: float | None
    """Seconds since it reported the release and configuration of the rollout; None before that."""
    update_failed: str | None = None
    """Why its updater took this release back."""
    left_it: bool = False
    """It took the release, and now reports another one, or another configuration."""
    silent_s: float = 0.0
    """Seconds since its last message, as far as this side was connected."""
    uncounted_s: float = 0.0
    """Seconds since its last window or since it took the release, as far as this side was connected."""
    restarts: int = 0
    """Starts of the daemon after the one that took the release."""
    before: Figures | None = None
    now: Figures | None = None
    traffic: Traffic = Traffic()
    """Since it took the release."""
    traffic_before: Traffic = Traffic()
    """Of the same hours before; without a collector, of the time before it took the release."""


class Action(Enum):
    """What to do next."""

    WAIT = "wait"
    NEXT = "next"
    STOP = "stop"
    BACK = "back"


class Decision(NamedTuple):
    """What to do next, and why."""

    action: Action
    reason: str


class Progress(NamedTuple):
    """How long a stage has lasted, seconds."""

    stage_s: float
    """Since its devices were given the release."""
    baked_s: float | None
    """Since enough of them had taken it; None before that."""
    bake_s: float
    take_limit_s: float


def faults(view: View, bounds: Bounds) -> list[str]:
    """Return what is bad about a device; nothing if it has not taken the release, unless its updater gave up."""
    if view.update_failed is not None:
        return [f"its updater took the release back: {view.update_failed}"]
    if view.taken_s is None:
        return []
    found = ["it no longer runs the release with its configuration"] if view.left_it else []
    if view.silent_s > bounds.silent_s:
        found.append(f"no message for {view.silent_s:.0f} s; {bounds.silent_s:g} are allowed")
    if view.restarts > bounds.restarts:
        found.append(f"restarted {view.restarts} times; {bounds.restarts} are allowed")
    if view.uncounted_s > COUNTS_LIMIT_S and view.traffic_before.length_s:
        found.append(f"no window for {view.uncounted_s:.0f} s; {COUNTS_LIMIT_S:g} are allowed")
    if view.before is not None and view.now is not None:
        found += _slower(view.before, view.now, bounds)
    return found + _traffic_faults(view.traffic, view.traffic_before, bounds)


def decide(views: Sequence[View], progress: Progress, bounds: Bounds, others_silent: float = 0.0) -> Decision:
    """Return how the rollout goes on.

    Back as soon as more devices are bad than allowed, or all of the stage together are. Next when enough devices have
    taken the release and were observed for long enough. Stop, for a person, when too few take it. ``others_silent`` is
    the ratio of devices outside the stage that are silent: if it is large, silence says nothing about the release.
    """
    if others_silent > MANY_SILENT:
        return Decision(Action.WAIT, f"{others_silent:.0%} of the other devices are silent, too: broker or network")
    bad = {view.identity: found for view in views if (found := faults(view, bounds))}
    if len(bad) > int(bounds.max_bad_ratio * len(views)):
        first = next(iter(bad))
        return Decision(Action.BACK, f"{len(bad)} of {len(views)} devices are bad; {first}: {'; '.join(bad[first])}")
    taken = [view for view in views if view.taken_s is not None]
    together = _traffic_faults(_sum([view.traffic for view in taken]), _sum([v.traffic_before for v in taken]), bounds)
    if together:
        return Decision(Action.BACK, f"all {len(taken)} devices together: {'; '.join(together)}")
    if progress.baked_s is None:
        return _while_taking(views, progress, bounds)
    if progress.baked_s >= progress.bake_s:
        return Decision(
            Action.NEXT, f"{len(taken)} of {len(views)} devices have it and {len(taken) - len(bad)} are well"
        )
    return Decision(Action.WAIT, f"observed for {progress.baked_s:.0f} s of {progress.bake_s:.0f} s")


def has_taken(views: Sequence[View], progress: Progress, bounds: Bounds) -> bool:
    """Whether the stage is observed from now on: all devices that can have taken it, or enough after the limit.

    At least one must have it. Devices that were offline before take it when they come back; nobody waits for them.
    """
    able = [view for view in views if view.was_online or view.taken_s is not None]
    taken = sum(view.taken_s is not None for view in able)
    if not taken:
        return False
    late = progress.stage_s >= progress.take_limit_s
    return taken == len(able) or (late and taken >= bounds.min_taken_ratio * len(able))


def _while_taking(views: Sequence[View], progress: Progress, bounds: Bounds) -> Decision:
    able = sum(view.was_online or view.taken_s is not None for view in views)
    taken = sum(view.taken_s is not None for view in views)
    told = f"{taken} of {able} devices that were online have taken it"
    if progress.stage_s >= progress.take_limit_s:
        return Decision(Action.STOP, f"{told} after {progress.stage_s:.0f} s; {bounds.min_taken_ratio:.0%} must have")
    return Decision(Action.WAIT, told)


def _slower(before: Figures, now: Figures, bounds: Bounds) -> list[str]:
    found = []
    if now.frames_per_s < bounds.min_speed_ratio * before.frames_per_s:
        found.append(f"{now.frames_per_s:g} frames a second, before {before.frames_per_s:g}")
    if before.latency_ms > 0 and now.latency_ms > bounds.max_latency_ratio * before.latency_ms:
        found.append(f"{now.latency_ms:.1f} ms a frame, before {before.latency_ms:.1f} ms")
    if now.memory_mb > bounds.max_memory_ratio * before.memory_mb:
        found.append(f"{now.memory_mb:.0f} MB of memory, before {before.memory_mb:.0f} MB")
    return found


def _traffic_faults(now: Traffic, before: Traffic, bounds: Bounds) -> list[str]:
    if not now.length_s or not before.length_s:
        return []
    found = []
    if before.coverage - now.coverage > bounds.max_coverage_drop:
        found.append(f"coverage {now.coverage:.2f}, before {before.coverage:.2f}")
    if not bounds.compare_visits:
        return found
    past = before.unknown, before.visits
    if share_rises((now.unknown, now.visits), past, bounds.max_unknown_rise, bounds.significance):
        found.append(f"{now.unknown} of {now.visits} visits are unknown, before {before.unknown} of {before.visits}")
    limits = bounds.min_visits_ratio, bounds.max_visits_ratio
    rates = (now.visits, now.covered_s), (before.visits, before.covered_s)
    if rate_differs(*rates, limits, bounds.significance):
        hourly, hourly_before = (3600 * events / seconds for events, seconds in rates)
        found.append(f"{hourly:.1f} visits an hour, before {hourly_before:.1f}")
    return found


def _sum(traffic: Sequence[Traffic]) -> Traffic:
    return sum(traffic, Traffic())
