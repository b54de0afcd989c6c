"""Prometheus metrics of the devices and of the store."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.analysis.correction import conflicts, confusions
from collector.api.counters import DEVICE_LABELS, counters
from collector.devices.attention import TITLES, concerns, reported_windows
from collector.devices.device import Device
from collector.devices.registry import read_refused
from collector.devices.state import shown_state
from collector.reading.reader import Reader

HEALTH_METRICS = {
    "frames_per_s": ("frames_per_second", "Frames processed per second"),
    "spool_depth": ("spool_windows", "Windows not sent yet"),
    "spool_dropped": ("spool_dropped_windows", "Windows lost to a full disk"),
    "memory_mb": ("memory_megabytes", "Memory of the daemon"),
    "temperature_c": ("temperature_celsius", "Temperature of the device"),
}
"""Field of `contract.health.Health`: name and help text of the metric."""


class StoreMetrics(Collector):
    """Metrics read from the store at each scrape."""

    def __init__(self, reader: Reader, now: Callable[[], datetime]) -> None:
        self._reader, self._now = reader, now

    def collect(self) -> Iterator[Metric]:
        """Yield one family per device metric, one sample per device, then the metrics of the whole store."""
        devices = self._reader.devices()
        now = self._now()
        states = [(device, 1.0 if shown_state(device, now) == "online" else 0.0) for device in devices]
        yield _family("up", "1 if the device is online", states)
        heard = ((device, _timestamp(device.seen)) for device in devices)
        yield _family("last_heard_timestamp_seconds", "Time of the device's last message", heard)
        counted = ((device, _timestamp(device.counted)) for device in devices)
        yield _family("last_window_timestamp_seconds", "End of the device's latest window", counted)
        for field, (name, text) in HEALTH_METRICS.items():
            yield _family(name, text, ((device, getattr(device.health, field, None)) for device in devices))
        yield from _dates(devices)
        yield _tracks(devices)
        yield from counters(devices)
        conflicting = {(site, name) for site, name, _ in conflicts(confusions(devices))}
        flags = [(device, float((device.site, device.device) in conflicting)) for device in devices]
        yield _family("model_conflict", "1 if its confusion matrix differs from others with the same model", flags)
        yield _attention(devices, now, conflicting)
        yield _refused(devices, read_refused(self._reader.root) if self._reader.permitted is None else {})
        damages = self._reader.damages()
        yield _gauge("damaged_files", "Files that are damaged or have rows left out", len(damages))
        yield _gauge("left_out_rows", "Invalid rows left out", sum(damage.rows for damage in damages))


def exposition(reader: Reader, now: Callable[[], datetime]) -> bytes:
    """Return the metrics of a store in the Prometheus text format."""
    registry = CollectorRegistry()
    registry.register(StoreMetrics(reader, now))
    return generate_latest(registry)


def _family(name: str, text: str, samples: Iterable[tuple[Device, float | None]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"facetally_device_{name}", text, labels=DEVICE_LABELS)
    for device, value in samples:
        if value is not None:
            family.add_metric((device.site, device.device), value)
    return family


def _dates(devices: Iterable[Device]) -> Iterator[Metric]:
    """Yield what health says of the clock, the certificate and the oldest window not sent; absent where unknown."""
    healths = [(device, device.health) for device in devices if device.health is not None]
    synced = ((device, float(health.clock != "unsynced")) for device, health in healths)
    yield _family("clock_synced", "1 if the device's clock has been synchronised", synced)
    unsent = ((device, _timestamp(health.oldest_unsent)) for device, health in healths)
    yield _family("oldest_unsent_timestamp_seconds", "Start of the oldest window not sent yet", unsent)
    ends = ((device, _timestamp(health.certificate_ends)) for device, health in healths)
    yield _family("certificate_ends_timestamp_seconds", "End of the device's certificate", ends)


def _attention(devices: Collection[Device], now: datetime, conflicting: Collection[tuple[str, str]]) -> Metric:
    """Return a sample per device and kind of concern: 1 if it needs a person, as at the top of the page."""
    found = {
        (each.site, each.device, each.kind)
        for each in concerns(devices, reported_windows(devices), now, conflicting=conflicting)
    }
    family = GaugeMetricFamily(
        "facetally_device_attention", "1 if the device needs a person, by kind", labels=(*DEVICE_LABELS, "kind")
    )
    for device in devices:
        for kind in TITLES:
            key = (device.site, device.device, kind)
            family.add_metric(key, float(key in found))
    return family


def _tracks(devices: Iterable[Device]) -> Metric:
    """Return the tracks of each device's last full hour by outcome; an outcome below its k is absent."""
    family = GaugeMetricFamily(
        "facetally_device_tracks_ended", "Tracks that ended in the last full hour", labels=(*DEVICE_LABELS, "outcome")
    )
    for device in devices:
        ended = (device.health.tracks_ended if device.health else None) or {}
        for outcome, number in ended.items():
            family.add_metric((device.site, device.device, outcome), number)
    return family


def _refused(devices: Iterable[Device], others: Mapping[str, int]) -> Metric:
    """Return the messages set aside by reason; those of unknown devices have empty labels."""
    family = CounterMetricFamily("facetally_refused_messages", "Messages set aside", labels=(*DEVICE_LABELS, "reason"))
    for device in devices:
        for reason, number in device.refused.items():
            family.add_metric((device.site, device.device, reason), number)
    for reason, number in others.items():
        family.add_metric(("", "", reason), number)
    return family


def _gauge(name: str, text: str, value: int) -> Metric:
    return GaugeMetricFamily(f"facetally_store_{name}", text, value=float(value))


def _timestamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
