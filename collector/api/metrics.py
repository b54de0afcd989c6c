"""What is known of the devices, and what is wrong with the store -> figures for Prometheus."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.analysis.correction import conflicts, confusions
from collector.analysis.query import Reader
from collector.devices.device import Device
from collector.devices.registry import read_devices, read_refused
from collector.devices.state import shown_state

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

    def __init__(self, reader: Reader, now: Callable[[], datetime]) -> None:
        self._reader, self._now = reader, now

    def collect(self) -> Iterator[Metric]:
        """One family a figure, one sample a device; then what is of the store as a whole."""
        devices = read_devices(self._reader.root)
        now = self._now()
        states = [(device, 1.0 if shown_state(device, now) == "online" else 0.0) for device in devices]
        yield _family("up", "1 if the device is online", states)
        heard = ((device, _seconds(device.seen)) for device in devices)
        yield _family("last_heard_timestamp_seconds", "When the device last said anything", heard)
        counted = ((device, _seconds(device.counted)) for device in devices)
        yield _family("last_window_timestamp_seconds", "When its latest window ended", counted)
        for field, (name, says) in OF_HEALTH.items():
            yield _family(name, says, ((device, getattr(device.health, field, None)) for device in devices))
        odd = {(site, name) for site, name, _ in conflicts(confusions(devices))}
        told = [(device, float((device.site, device.device) in odd)) for device in devices]
        yield _family("model_conflict", "1 if it tells another confusion matrix than others with its model", told)
        yield _refused(devices, read_refused(self._reader.root))
        damages = self._reader.damages()
        yield _store("damaged_files", "Files with something left out, or that were damaged", len(damages))
        yield _store("left_out_rows", "Rows that are none", sum(damage.rows for damage in damages))


def text(reader: Reader, now: Callable[[], datetime]) -> bytes:
    """The figures of a store in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(OfDevices(reader, now))
    return generate_latest(registry)


def _family(name: str, says: str, samples: Iterable[tuple[Device, float | None]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"facetally_device_{name}", says, labels=WHO)
    for device, value in samples:
        if value is not None:
            family.add_metric((device.site, device.device), value)
    return family


def _refused(devices: Iterable[Device], others: Mapping[str, int]) -> Metric:
    """Messages set aside; those of no known device have empty names."""
    family = CounterMetricFamily("facetally_refused_messages", "Messages set aside", labels=(*WHO, "reason"))
    for device in devices:
        for reason, number in device.refused.items():
            family.add_metric((device.site, device.device, reason), number)
    for reason, number in others.items():
        family.add_metric(("", "", reason), number)
    return family


def _store(name: str, says: str, value: int) -> Metric:
    return GaugeMetricFamily(f"facetally_store_{name}", says, value=float(value))


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
