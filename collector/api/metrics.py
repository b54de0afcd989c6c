"""What is known of the devices -> figures for Prometheus."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from collector.devices import Device, read_devices
from collector.state import shown_state

WHO = ("site", "device")
OF_HEALTH = {
    "frames_per_s": ("frames_per_second", "Frames looked at"),
    "spool_depth": ("spool_windows", "Windows not sent yet"),
    "spool_dropped": ("spool_dropped_windows", "Windows lost to a full disk"),
    "memory_mb": ("memory_megabytes", "Memory of the daemon"),
    "temperature_c": ("temperature_celsius", "Temperature"),
}
"""Fields of `contract.message.Health` -> name and meaning of the figure."""


class OfDevices(Collector):
    """Read anew from the store each time that Prometheus asks."""

    def __init__(self, root: Path, now: Callable[[], datetime]) -> None:
        self._root, self._now = root, now

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family a figure, one sample a device."""
        devices = read_devices(self._root)
        now = self._now()
        states = [(device, 1.0 if shown_state(device, now) == "online" else 0.0) for device in devices]
        yield _family("up", "1 if the device is online", states)
        heard = ((device, _seconds(device.seen)) for device in devices)
        yield _family("last_heard_timestamp_seconds", "When the device last said anything", heard)
        counted = ((device, _seconds(device.counted)) for device in devices)
        yield _family("last_window_timestamp_seconds", "When its latest window ended", counted)
        for field, (name, says) in OF_HEALTH.items():
            yield _family(name, says, ((device, getattr(device.health, field, None)) for device in devices))


def text(root: Path, now: Callable[[], datetime]) -> bytes:
    """The figures of a store in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(OfDevices(root, now))
    return generate_latest(registry)


def _family(name: str, says: str, samples: Iterable[tuple[Device, float | None]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"facetally_device_{name}", says, labels=WHO)
    for device, value in samples:
        if value is not None:
            family.add_metric((device.site, device.device), value)
    return family


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
