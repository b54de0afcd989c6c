"""A message and what its device has sent before -> let in, or beyond a bound of `collector.settings.Limits`.

The broker lets a device speak in its own name only, so each bound is one of an identity, and what one device does
costs the others nothing. The bounds are of what grows with what a device says: messages, bytes, folders (dates), files
and columns (label sets), rows of every summary (classifiers).
"""

import hashlib
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from collector.devices.device import Device, Used
from collector.errors import OverLimit
from collector.settings import Limits
from contract.message import Counts

STRAY_DATES = 32
"""Dates outside the bounds that a device may use while its clock was never set, or while most devices contradict the
clock of this machine: windows are not lost to a clock, and folders are still bounded."""
UNUSED_AFTER = timedelta(days=90)
DAY_S = 86_400.0
MOST_BUCKETS = 20_000


class _Bucket(NamedTuple):
    """What a device may still send (a token bucket, as in RFC 2697), and when that was worked out."""

    messages: float
    size: float
    at_s: float


class Admission:
    """The bounds of all devices. What was sent today is in memory only, the rest in `collector.devices.registry.Device`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def charge(self, site: str, device: str, size: int, monotonic_s: float) -> None:
        """A device has sent so many bytes; OverLimit if it has used up a day's worth, which is refilled steadily."""
        most, most_size = float(self._limits.messages_per_day), self._limits.mb_per_day * 1e6
        before = self._buckets.pop((site, device), None) or _Bucket(most, most_size, monotonic_s)
        share = (monotonic_s - before.at_s) / DAY_S
        messages = min(most, before.messages + share * most)
        left = min(most_size, before.size + share * most_size)
        enough = messages >= 1, left >= size
        self._buckets[site, device] = _Bucket(
            messages - 1 if all(enough) else messages, left - size if all(enough) else left, monotonic_s
        )
        if len(self._buckets) > MOST_BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        if not enough[0]:
            raise OverLimit("messages", f"more than limits.messages_per_day {self._limits.messages_per_day}")
        if not enough[1]:
            raise OverLimit("bytes", f"more than limits.mb_per_day {self._limits.mb_per_day:g}")

    def newcomer(self, of_site: int) -> None:
        """A device that was never heard of, of a site that has so many; OverLimit if these are enough."""
        if of_site >= self._limits.devices_per_site:
            raise OverLimit("devices", f"its site has limits.devices_per_site {self._limits.devices_per_site} already")

    def counts(self, device: Device, counts: Counts, now: datetime, doubtful: Callable[[], bool]) -> Device:
        """A window -> its device, with what the window used; OverLimit if it may not use that.

        ``doubtful``: whether most devices say that the clock of this machine is wrong.
        """
        return self._date(self._model(device, counts, now.date()), counts, now, doubtful)

    def _date(self, device: Device, counts: Counts, now: datetime, doubtful: Callable[[], bool]) -> Device:
        """Refuse windows of another time."""
        limits, day = self._limits, counts.start.date()
        first, last = now - timedelta(days=limits.past_days), now + timedelta(days=limits.future_days)
        if first <= counts.start and counts.end <= last:
            return device
        if counts.clock == "unsynced" or doubtful():
            if day in device.stray:
                return device
            if len(device.stray) < STRAY_DATES:
                return replace(device, stray=(*device.stray, day))
        reason = f"counts: from {counts.start:%Y-%m-%d} to {counts.end:%Y-%m-%d}"
        allowed = f"limits allow {limits.past_days} days back and {limits.future_days} ahead"
        raise OverLimit("dates", f"{reason}; {allowed}")

    def _model(self, device: Device, counts: Counts, today: date) -> Device:
        """Refuse one classifier or label set too many."""
        digest = _digest(counts.model.expression, tuple(counts.visits))
        used = {each.sha256: each.last for each in device.used}
        if used.get(digest) == today:
            return device
        if digest not in used and len(used) >= self._limits.models:
            used = {each: last for each, last in used.items() if today - last <= UNUSED_AFTER}
            if len(used) >= self._limits.models:
                raise OverLimit(
                    "models", f"counts: more than limits.models {self._limits.models} label sets and models"
                )
        used[digest] = today
        return replace(device, used=tuple(Used(sha256=each, last=last) for each, last in used.items()))


@lru_cache(4096)
def _digest(expression: str, labels: tuple[str, ...]) -> str:
    """What names a classifier with its labels, 32 hex digits."""
    return hashlib.sha256("\n".join((expression, *labels)).encode()).hexdigest()[:32]
