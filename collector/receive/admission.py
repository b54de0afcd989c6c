"""Admit or refuse messages by the limits of their device, `collector.settings.Limits`.

The broker lets a device send under its own identity only. So each limit belongs to one identity, and what one device
sends takes nothing from the others. The limits bound what grows with the messages of a device: messages, bytes, folders
(dates), files and columns (label sets), and rows of every summary (classifiers).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

from msgspec.structs import replace

from collector.devices.device import ClassifierUse, Device
from collector.errors import OverLimit
from collector.settings import Limits
from contract.message import Counts

MAX_OUT_OF_RANGE_DATES = 32
"""Dates outside the limits that a device may use if its clock was never set, or while most devices contradict the clock
of this machine. No window is lost to a wrong clock, and the number of folders stays bounded."""
UNUSED_AFTER = timedelta(days=90)
"""A classifier that was not used for so long makes room for another one."""
DAY_S = 86_400.0
BYTES_PER_MB = 1e6
MAX_BUCKETS = 20_000


@dataclass(slots=True)
class _TokenBucket:
    """What a device may still send (token bucket, RFC 2697)."""

    messages: float
    size: float
    """Bytes."""
    updated_s: float
    """Seconds on the monotonic clock."""

    def refill(self, messages: float, size: float, monotonic_s: float) -> None:
        """Add what has come since the last time; ``messages`` and ``size`` are a full bucket, which comes in a day."""
        days = (monotonic_s - self.updated_s) / DAY_S
        self.messages = min(messages, self.messages + days * messages)
        self.size = min(size, self.size + days * size)
        self.updated_s = monotonic_s


class Admission:
    """The limits of all devices. Token buckets are in memory only; the rest is in `collector.devices.device.Device`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buckets: dict[tuple[str, str], _TokenBucket] = {}

    def charge(self, site: str, device: str, size: int, monotonic_s: float) -> None:
        """Charge a device for a message of ``size`` bytes; OverLimit if it has used up a day's worth."""
        bucket = self._bucket((site, device), monotonic_s)
        if bucket.messages < 1:
            most = self._limits.messages_per_day
            raise OverLimit("messages", f"a device must send at most limits.messages_per_day = {most} messages")
        if bucket.size < size:
            most_mb = self._limits.mb_per_day
            raise OverLimit("bytes", f"a device must send at most limits.mb_per_day = {most_mb:g} MB")
        bucket.messages -= 1
        bucket.size -= size

    def _bucket(self, key: tuple[str, str], monotonic_s: float) -> _TokenBucket:
        """Return the bucket of a device, refilled; the least recently used one makes room for a new one."""
        bucket = self._buckets.get(key)
        if bucket is not None and bucket.updated_s == monotonic_s:
            return bucket
        messages, size = float(self._limits.messages_per_day), self._limits.mb_per_day * BYTES_PER_MB
        if bucket is None:
            bucket = _TokenBucket(messages, size, monotonic_s)
        else:
            del self._buckets[key]
            bucket.refill(messages, size, monotonic_s)
        self._buckets[key] = bucket
        if len(self._buckets) > MAX_BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        return bucket

    def check_new_device(self, site_size: int) -> None:
        """Check that a site of ``site_size`` known devices may have another one. Raises OverLimit."""
        most = self._limits.devices_per_site
        if site_size >= most:
            raise OverLimit("devices", f"a site must have at most limits.devices_per_site = {most} devices")

    def admit(self, device: Device, counts: Counts, now: datetime, clock_is_contradicted: Callable[[], bool]) -> Device:
        """Return the device after it has used what the window needs. Raises OverLimit.

        ``clock_is_contradicted``: whether most devices report another time than the clock of this machine.
        """
        device = self._use_classifier(device, counts, now.date())
        return self._use_date(device, counts, now, clock_is_contradicted)

    def _use_date(
        self, device: Device, counts: Counts, now: datetime, clock_is_contradicted: Callable[[], bool]
    ) -> Device:
        """Check the window's time. Outside the limits, only a few dates of a doubtful clock are admitted."""
        limits = self._limits
        first, last = _range(now, limits.past_days, limits.future_days)
        if first <= counts.start and counts.end <= last:
            return device
        day = counts.start.date()
        if counts.clock == "unsynced" or clock_is_contradicted():
            if day in device.out_of_range_dates:
                return device
            if len(device.out_of_range_dates) < MAX_OUT_OF_RANGE_DATES:
                return replace(device, out_of_range_dates=(*device.out_of_range_dates, day))
        raise OverLimit(
            "dates",
            f"counts: a window must be from {first:%Y-%m-%d} to {last:%Y-%m-%d}, is from {counts.start:%Y-%m-%d} to"
            f" {counts.end:%Y-%m-%d}; limits allow {limits.past_days} days back and {limits.future_days} ahead",
        )

    def _use_classifier(self, device: Device, counts: Counts, today: date) -> Device:
        """Check that the device may count with the window's classifier and label set, and record the use."""
        digest = _digest(counts.model.expression, tuple(counts.visits))
        for use in device.classifier_uses:
            if use.digest == digest and use.last_used == today:
                return device
        last_used = {use.digest: use.last_used for use in device.classifier_uses}
        if digest not in last_used and len(last_used) >= self._limits.models:
            last_used = {each: last for each, last in last_used.items() if today - last <= UNUSED_AFTER}
            if len(last_used) >= self._limits.models:
                most = self._limits.models
                raise OverLimit(
                    "models", f"counts: a device must use at most limits.models = {most} classifiers and label sets"
                )
        last_used[digest] = today
        uses = tuple(ClassifierUse(digest=each, last_used=last) for each, last in last_used.items())
        return replace(device, classifier_uses=uses)


@lru_cache(1)
def _range(now: datetime, past_days: int, future_days: int) -> tuple[datetime, datetime]:
    """Return the first and the last time of windows within the limits; ``now`` is that of a group of messages."""
    return now - timedelta(days=past_days), now + timedelta(days=future_days)


@lru_cache(4096)
def _digest(expression: str, labels: tuple[str, ...]) -> str:
    """Return a hash of a classifier's name and labels, 32 hex digits."""
    return hashlib.sha256("\n".join((expression, *labels)).encode()).hexdigest()[:32]
