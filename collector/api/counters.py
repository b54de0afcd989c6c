"""Prometheus counters of what the devices have counted: visits, windows, watched time and doubtful visits."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from collector.devices.device import Device

DEVICE_LABELS = ("site", "device")


def counters(devices: Iterable[Device]) -> Iterator[Metric]:
    """Yield one family per counter. Each device has one sample, or one for each label of its visits."""
    stored = [((device.site, device.device), device.stored) for device in devices]
    for name, text, values in (
        ("windows", "Windows stored", ((key, totals.windows) for key, totals in stored)),
        ("window_seconds", "Length of the windows stored", ((key, totals.window_s) for key, totals in stored)),
        (
            "watched_seconds",
            "Time in which the camera was watched",
            ((key, totals.watched_s) for key, totals in stored),
        ),
    ):
        family = CounterMetricFamily(f"facetally_device_{name}", text, labels=DEVICE_LABELS)
        for key, value in values:
            family.add_metric(key, value)
        yield family
    visits = CounterMetricFamily("facetally_device_visits", "Visits stored, by label", labels=(*DEVICE_LABELS, "label"))
    doubtful = CounterMetricFamily(
        "facetally_device_doubtful_visits", "Visits that may be none, or two", labels=(*DEVICE_LABELS, "may_be")
    )
    for key, totals in stored:
        for label, number in totals.visits.items():
            visits.add_metric((*key, label), number)
        doubtful.add_metric((*key, "none"), totals.doubtful_low)
        doubtful.add_metric((*key, "two"), totals.doubtful_high)
    yield visits
    yield doubtful
